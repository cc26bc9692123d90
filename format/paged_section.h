#ifndef FIRN_FORMAT_PAGED_SECTION_H_
#define FIRN_FORMAT_PAGED_SECTION_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "format/block_cache.h"
#include "format/layout.h"
#include "format/page_tree.h"
#include "format/types.h"

namespace firn {

// A section read page by page, each page checked against the page tree on its way to the section's
// digest. Thread-safe. `fd` and `cache` are borrowed.
class PagedSection {
 public:
  PagedSection(int fd, BlockCache& cache, uint32_t image_number, Section section);

  uint64_t length() const { return section_.length; }
  const Section& section() const { return section_; }

  // Fills `out` from `offset` (in the content) on. Throws kDamaged.
  void Read(uint64_t offset, MutableByteSpan out) const;
  // A page of the content, checked.
  std::shared_ptr<const Block> Page(uint64_t index) const { return Page(0, index); }

 private:
  std::shared_ptr<const Block> Page(size_t level, uint64_t index) const;
  std::shared_ptr<const Block> LoadPage(size_t level, uint64_t index) const;
  Digest ExpectedDigest(size_t level, uint64_t index) const;
  void ReadLevel(size_t level, uint64_t offset, MutableByteSpan out) const;

  const int fd_;
  BlockCache& cache_;
  const uint32_t image_number_;
  const Section section_;
  const std::vector<PageTreeLevel> levels_;
};

}  // namespace firn

#endif  // FIRN_FORMAT_PAGED_SECTION_H_
