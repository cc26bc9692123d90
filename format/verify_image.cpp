#include <algorithm>
#include <vector>

#include "format/block_cache.h"
#include "format/extent_table.h"
#include "format/file.h"
#include "format/paged_section.h"
#include "format/parallel.h"
#include "format/signature.h"
#include "format/verify_internal.h"

namespace firn {
namespace {

constexpr uint64_t kPaddingPiece = 64 * 1024;
constexpr size_t kSectionCacheBytes = size_t{4} << 20;
// Extents are handed to threads in batches, so that small ones cost no more than large ones.
constexpr uint64_t kExtentsPerBatch = 64;

void CheckZeros(int fd, uint64_t from, uint64_t to, VerifyLog& log) {
  std::vector<std::byte> piece(std::min(to - from, kPaddingPiece));
  while (from < to) {
    const MutableByteSpan bytes = MutableByteSpan(piece).first(std::min(to - from, kPaddingPiece));
    ReadAt(fd, from, bytes);
    const auto found = std::ranges::find_if(bytes, [](std::byte b) { return b != std::byte{0}; });
    if (found != bytes.end()) {
      log.Add({}, from + static_cast<uint64_t>(found - bytes.begin()),
              "padding must be zero, found another byte");
      return;
    }
    from += bytes.size();
  }
}

// Does each extent start where the one before it ends? Throws kDamaged otherwise.
void CheckTiling(const ExtentTable& extents, uint64_t squashfs_length, uint64_t table_offset) {
  ImageOffset end{};
  for (uint64_t i = 0; i < extents.size(); ++i) {
    const Extent extent = extents.At(i);
    if (extent.offset != end) {
      throw Error(ErrorKind::kDamaged, "section extents: extent " + std::to_string(i) +
                                           " starts at " + std::to_string(ToInt(extent.offset)) +
                                           ", expected " + std::to_string(ToInt(end)))
          .WithOffset(table_offset + i * Extent::kEncodedLength);
    }
    end = extent.end();
  }
  if (ToInt(end) != squashfs_length) {
    throw Error(ErrorKind::kDamaged, "section extents ends at " + std::to_string(ToInt(end)) +
                                         ", the SquashFS part at " +
                                         std::to_string(squashfs_length))
        .WithOffset(table_offset);
  }
}

}  // namespace

void VerifySections(int fd, const Appendix& appendix, VerifyLog& log) {
  BlockCache cache(kSectionCacheBytes);
  uint32_t number = 0;
  for (const Section& section : appendix.core().sections) {
    const PagedSection pages(fd, cache, ++number, section);
    const uint64_t page_count = PageTreeLevels(section.length).front().page_count();
    for (uint64_t i = 0; i < page_count; ++i) {
      try {
        pages.Page(i);
      } catch (const Error& error) {
        log.Add({}, error);
      }
    }
    log.Advance(section.length);
    ++log.report().sections;
  }
}

void VerifyPadding(int fd, const Appendix& appendix, VerifyLog& log) {
  const Footer& footer = appendix.footer();
  const bool has_signatures = footer.signatures_length != 0;
  uint64_t end = appendix.core().squashfs_length;
  for (const Section& section : appendix.core().sections) {
    CheckZeros(fd, end, section.offset, log);
    end = section.offset + StoredSectionLength(section.length);
  }
  CheckZeros(fd, end, footer.core_offset, log);
  end = footer.core_offset + footer.core_length;
  if (has_signatures) {
    CheckZeros(fd, end, footer.signatures_offset, log);
    end = footer.signatures_offset + footer.signatures_length;
  }
  CheckZeros(fd, end, footer.file_length - kFooterLength, log);
}

void VerifySignatures(int fd, const Appendix& appendix, const std::string& path, VerifyLog& log) {
  const uint64_t offset = appendix.footer().signatures_offset;
  try {
    log.report().signatures = ReadSignatures(fd, appendix, path);
  } catch (const Error& error) {
    log.Add({}, error);
    return;
  }
  const std::optional<SignatureArea>& area = log.report().signatures;
  if (!area) return;
  if (area->image_id != appendix.id()) {
    log.Add({}, offset, "the signatures are over another image, " + FormatImageId(area->image_id));
  }
  for (size_t i = 0; i < area->signatures.size(); ++i) {
    const ImageSignature& signature = area->signatures[i];
    if (area->IsRight(signature)) continue;
    log.Add({}, offset + SignatureArea::kHeadLength + i * SignatureArea::kSignatureLength,
            "the signature of " + FormatKey(signature.key) + " is not by that key, or damaged");
  }
}

bool IsIntact(int fd, const Extent& extent, std::vector<std::byte>& scratch) {
  scratch.resize(extent.length);
  if (ReadAt(fd, ToInt(extent.offset), scratch) != extent.length) return false;
  return Xxh3Of(scratch) == extent.xxh3 && Sha256Of(scratch) == extent.sha256;
}

void VerifyExtents(int fd, const Appendix& appendix, VerifyLog& log) {
  BlockCache cache(kSectionCacheBytes);
  std::vector<Extent> damaged;
  const Section* section = appendix.core().Find(kExtentsSection);
  if (section == nullptr) {
    log.Add({}, appendix.footer().core_offset, "section extents is missing");
    return;
  }
  try {
    const ExtentTable extents({fd, cache, 1, *section}, appendix.core().squashfs_length);
    CheckTiling(extents, appendix.core().squashfs_length, section->offset);
    std::mutex mutex;
    const uint64_t batches = (extents.size() + kExtentsPerBatch - 1) / kExtentsPerBatch;
    ParallelFor(log.jobs(), batches, [&](uint64_t batch) {
      std::vector<std::byte> scratch;
      const uint64_t end = std::min(extents.size(), (batch + 1) * kExtentsPerBatch);
      for (uint64_t i = batch * kExtentsPerBatch; i < end; ++i) {
        const Extent extent = extents.At(i);
        if (!IsIntact(fd, extent, scratch)) {
          const std::lock_guard lock(mutex);
          damaged.push_back(extent);
        }
        log.Advance(extent.length);
      }
    });
    log.report().extents = extents.size();
  } catch (const Error& error) {
    log.Add({}, error);
  }
  std::ranges::sort(damaged, {}, &Extent::offset);
  log.SetDamaged(std::move(damaged));
}

}  // namespace firn
