#ifndef FIRN_FORMAT_EXTENT_TABLE_H_
#define FIRN_FORMAT_EXTENT_TABLE_H_

#include <cstdint>

#include "format/byte_source.h"
#include "format/extent_check.h"
#include "format/layout.h"
#include "format/paged_section.h"
#include "format/types.h"

namespace firn {

// The section `extents`. Thread-safe.
class ExtentTable {
 public:
  // Throws kDamaged where the section's length is no whole number of records.
  ExtentTable(PagedSection section, uint64_t squashfs_length);

  uint64_t size() const { return count_; }
  // Record `index` < size(), its bounds checked.
  Extent At(uint64_t index) const;
  // Index of the extent that holds the byte at `offset`, which is less than the SquashFS part's
  // length.
  uint64_t IndexOf(ImageOffset offset) const;

 private:
  ImageOffset OffsetAt(uint64_t index) const;

  PagedSection section_;
  const uint64_t squashfs_length_;
  const uint64_t count_;
};

// The SquashFS part of an image: whole extents are read and each one is checked before a byte of it
// is given away. Thread-safe. `fd` and `extents` are borrowed.
class VerifiedSource final : public ByteSource {
 public:
  VerifiedSource(int fd, const ExtentTable& extents, uint64_t length, ExtentCheck check)
      : fd_(fd), extents_(extents), length_(length), check_(check) {}
  size_t ReadAtLeast(ImageOffset offset, size_t least, MutableByteSpan buffer) const override;
  void Drop(ImageOffset offset, uint64_t length) const override;

 private:
  const int fd_;
  const ExtentTable& extents_;
  const uint64_t length_;
  const ExtentCheck check_;
};

// Throws kDamaged unless `bytes`, read from where `extent` says, are what it must have.
void CheckExtent(const Extent& extent, ByteSpan bytes, ExtentCheck check);

}  // namespace firn

#endif  // FIRN_FORMAT_EXTENT_TABLE_H_
