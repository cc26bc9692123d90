#include "format/extent_table.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "format/error.h"
#include "format/file.h"
#include "format/little_endian.h"

namespace firn {

ExtentTable::ExtentTable(PagedSection section, uint64_t squashfs_length)
    : section_(std::move(section)),
      squashfs_length_(squashfs_length),
      count_(section_.length() / Extent::kEncodedLength) {
  if (count_ == 0 || section_.length() % Extent::kEncodedLength != 0) {
    throw DamagedError("section extents has " + std::to_string(section_.length()) +
                           " bytes, expected a multiple of " +
                           std::to_string(Extent::kEncodedLength),
                       section_.section().offset);
  }
}

Extent ExtentTable::At(uint64_t index) const {
  std::array<std::byte, Extent::kEncodedLength> bytes;
  section_.Read(index * Extent::kEncodedLength, bytes);
  const Extent extent = Extent::Decode(bytes);
  if (extent.length == 0 || extent.length > kMaxExtentLength ||
      !FitsIn(ToInt(extent.offset), extent.length, squashfs_length_)) {
    throw DamagedError("section extents: record " + std::to_string(index) +
                           " lies outside the SquashFS part or has an impossible length",
                       section_.section().offset + index * Extent::kEncodedLength);
  }
  return extent;
}

ImageOffset ExtentTable::OffsetAt(uint64_t index) const {
  std::array<std::byte, 8> bytes;
  section_.Read(index * Extent::kEncodedLength, bytes);
  return ImageOffset{LoadLe<uint64_t>(bytes.data())};
}

uint64_t ExtentTable::IndexOf(ImageOffset offset) const {
  uint64_t low = 0;
  uint64_t high = count_;  // the answer lies in [low, high)
  while (high - low > 1) {
    const uint64_t middle = low + (high - low) / 2;
    (OffsetAt(middle) <= offset ? low : high) = middle;
  }
  return low;
}

void CheckExtent(const Extent& extent, ByteSpan bytes, ExtentCheck check) {
  const bool is_proof = check == ExtentCheck::kProof;
  const bool is_right = is_proof ? Sha256Of(bytes) == extent.sha256 : Xxh3Of(bytes) == extent.xxh3;
  if (is_right) return;
  throw DamagedError("extent of " + std::to_string(extent.length) + " bytes has a wrong " +
                         (is_proof ? "SHA-256" : "XXH3-64"),
                     ToInt(extent.offset));
}

size_t VerifiedSource::ReadAtLeast(ImageOffset offset, size_t least, MutableByteSpan buffer) const {
  if (!FitsIn(ToInt(offset), least, length_)) {
    throw DamagedError(
        "a table points to " + std::to_string(least) + " bytes behind the end of the SquashFS part",
        ToInt(offset));
  }
  thread_local std::vector<std::byte> scratch(kMaxExtentLength);
  size_t done = 0;
  for (uint64_t index = extents_.IndexOf(offset); done < least; ++index) {
    const ImageOffset at = offset + done;
    const Extent extent = extents_.At(index);
    if (extent.offset > at || extent.end() <= at) {
      throw DamagedError("no extent covers this byte", ToInt(at));
    }
    const bool whole = extent.offset == at && extent.length <= buffer.size() - done;
    const MutableByteSpan target =
        whole ? buffer.subspan(done, extent.length) : MutableByteSpan(scratch).first(extent.length);
    ReadFile(fd_, extent.offset, target);
    CheckExtent(extent, target, check_);
    const uint64_t skip = at - extent.offset;
    const size_t count = std::min<uint64_t>(extent.length - skip, buffer.size() - done);
    if (!whole) std::memcpy(buffer.data() + done, target.data() + skip, count);
    done += count;
  }
  return done;
}

void VerifiedSource::Drop(ImageOffset offset, uint64_t length) const {
  DropCached(fd_, ToInt(offset), length);
}

}  // namespace firn
