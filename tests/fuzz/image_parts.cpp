#include "tests/fuzz/image_parts.h"

#include <algorithm>
#include <memory>

#include "format/appendix.h"
#include "format/decompressor.h"
#include "format/error.h"
#include "format/file.h"
#include "format/little_endian.h"
#include "format/superblock.h"
#include "tests/fuzz/memory_file.h"

namespace firn::fuzz {
namespace {

constexpr uint16_t kAsIs = 0x8000;
constexpr uint64_t kEndOfAll = ~uint64_t{0};

// Reads the tables of an image that is good.
class TableReader {
 public:
  TableReader(ByteSpan image, const Superblock& super)
      : image_(image), decompressor_(Decompressor::Create(super.compression, super.block_size)) {}

  // The blocks in [start, end), decoded, or so many bytes of them.
  Bytes Decoded(uint64_t start, uint64_t end, uint64_t length = kEndOfAll) const {
    Bytes decoded;
    while (start < end && decoded.size() < length) {
      const uint16_t header = LoadLe<uint16_t>(image_.data() + start);
      const size_t stored = header & ~kAsIs;
      const ByteSpan content = image_.subspan(start + 2, stored);
      if ((header & kAsIs) != 0) {
        decoded.insert(decoded.end(), content.begin(), content.end());
      } else {
        Bytes block(kMetadataBlockSize);
        block.resize(decompressor_->Decode(content, block));
        decoded.insert(decoded.end(), block.begin(), block.end());
      }
      start += 2 + stored;
    }
    return decoded;
  }

  Bytes Indexed(uint64_t table, uint64_t count, uint64_t entry_length) const {
    if (table == kNoTable || count == 0) return {};
    const uint64_t first = LoadLe<uint64_t>(image_.data() + table);
    return Decoded(first, table, count * entry_length);
  }

 private:
  const ByteSpan image_;
  const std::unique_ptr<const Decompressor> decompressor_;
};

Bytes SectionOf(int fd, const Appendix& appendix, std::string_view name) {
  const Section* const section = appendix.core().Find(name);
  return section == nullptr ? Bytes() : appendix.ReadSection(fd, name, section->length);
}

// A metadata block's start in stored bytes is one in decoded ones here: as the blocks of a small
// table are not compressed in the new image, references to the first block alone stay right.
void RequireOneBlock(const Bytes& table) {
  if (table.size() > kMetadataBlockSize) {
    throw Error(ErrorKind::kInternal, "the tables of an image to fuzz are too large");
  }
}

}  // namespace

ImageParts TakeApart(ByteSpan image) {
  const FileDescriptor file = MemoryFile(image);
  const Appendix appendix = Appendix::ReadImage(file.get(), "image");
  const Superblock super = Superblock::Decode(image, image.size());
  const TableReader tables(image, super);
  ImageParts parts;
  parts[Part::kOptions].resize(4);
  const auto copy = [&](Part part, uint64_t from, uint64_t to) {
    parts[part].assign(image.begin() + static_cast<ptrdiff_t>(from),
                       image.begin() + static_cast<ptrdiff_t>(to));
  };
  copy(Part::kSuperblock, 0, kSuperblockLength + 6);
  copy(Part::kData, kFirstDataOffset, super.inode_table);
  parts[Part::kInodes] = tables.Decoded(super.inode_table, super.directory_table);
  const uint64_t fragments = super.fragment_count == 0 ? super.export_table : super.fragment_table;
  const uint64_t listings_end = LoadLe<uint64_t>(image.data() + fragments);
  parts[Part::kListings] = tables.Decoded(super.directory_table, listings_end);
  RequireOneBlock(parts[Part::kInodes]);
  parts[Part::kFragments] = tables.Indexed(super.fragment_table, super.fragment_count, 16);
  parts[Part::kExports] = tables.Indexed(super.export_table, super.inode_count, 8);
  parts[Part::kIds] = tables.Indexed(super.id_table, super.id_count, 4);
  parts[Part::kManifest] = SectionOf(file.get(), appendix, kManifestSection);
  parts[Part::kDigests] = SectionOf(file.get(), appendix, kDigestsSection);
  parts[Part::kProfile] = SectionOf(file.get(), appendix, kProfileSection);
  return parts;
}

}  // namespace firn::fuzz
