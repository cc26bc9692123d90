#ifndef FIRN_FORMAT_TEST_SEAL_H_
#define FIRN_FORMAT_TEST_SEAL_H_

#include <algorithm>
#include <cstddef>
#include <functional>
#include <string_view>
#include <vector>

#include "format/digest.h"
#include "format/layout.h"
#include "format/page_tree.h"
#include "format/types.h"

namespace firn {

// For tests: images that say what is not so with checksums that are right. The functions change
// the bytes of an image without signatures.

inline Footer FooterOf(ByteSpan image) { return *Footer::Decode(image.last(kFooterLength)); }

inline CoreTable CoreOf(ByteSpan image) {
  const Footer footer = FooterOf(image);
  return CoreTable::Decode(image.subspan(footer.core_offset, footer.core_length));
}

// Changes the footer; its checksum is right again.
inline void ChangeFooter(MutableByteSpan image, const std::function<void(Footer&)>& change) {
  Footer footer = FooterOf(image);
  change(footer);
  std::ranges::copy(footer.Encode(), image.last(kFooterLength).begin());
}

// Changes the core table, but not its length; the image has another id then.
inline void ChangeCore(MutableByteSpan image, const std::function<void(CoreTable&)>& change) {
  CoreTable core = CoreOf(image);
  change(core);
  const std::vector<std::byte> bytes = core.Encode();
  std::ranges::copy(bytes, image.subspan(FooterOf(image).core_offset).begin());
  ChangeFooter(image, [&](Footer& footer) { footer.image_id = Sha256Of(bytes); });
}

// Changes the content of a section of one page, but not its length.
inline void ChangeSection(MutableByteSpan image, std::string_view name,
                          const std::function<void(MutableByteSpan)>& change) {
  ChangeCore(image, [&](CoreTable& core) {
    for (Section& section : core.sections) {
      if (section.name != name) continue;
      const MutableByteSpan content = image.subspan(section.offset, section.length);
      change(content);
      section.digest = MakePageTree(content).root;
    }
  });
}

// After the SquashFS part was changed: its extents have their checksums again.
inline void SealExtents(MutableByteSpan image) {
  ChangeSection(image, kExtentsSection, [&](MutableByteSpan content) {
    for (size_t at = 0; at < content.size(); at += Extent::kEncodedLength) {
      Extent extent = Extent::Decode(content.subspan(at, Extent::kEncodedLength));
      const ByteSpan bytes = image.subspan(ToInt(extent.offset), extent.length);
      extent.xxh3 = Xxh3Of(bytes);
      extent.sha256 = Sha256Of(bytes);
      std::vector<std::byte> encoded;
      extent.AppendTo(encoded);
      std::ranges::copy(encoded, content.subspan(at).begin());
    }
  });
}

}  // namespace firn

#endif  // FIRN_FORMAT_TEST_SEAL_H_
