#ifndef FIRN_FORMAT_DIGEST_INDEX_H_
#define FIRN_FORMAT_DIGEST_INDEX_H_

#include <cstdint>
#include <utility>

#include "format/block_cache.h"
#include "format/digest.h"
#include "format/image.h"
#include "format/layout.h"
#include "format/paged_section.h"
#include "format/types.h"

namespace firn {

// The section `digests`: the digest of each regular file, and the files ordered by digest, then by
// inode number. Pages are read and checked when they are asked for. Whether digests are true to
// the contents, and the order is one, is for others to prove: searches end on any bytes, and give
// only files of the digest that was asked for. Every function throws kDamaged. Thread-safe.
class DigestIndex {
 public:
  // `fd` and `cache` are borrowed. Nothing is read yet.
  DigestIndex(int fd, BlockCache& cache, uint32_t image_number, Section section)
      : section_(fd, cache, image_number, std::move(section)) {}

  Digest DigestOf(InodeNumber file) const;
  // A binary search; empty where no file has the digest.
  FileRange FilesWith(const Digest& digest) const;
  InodeNumber FileAt(uint64_t position) const;

 private:
  uint32_t Count() const;
  Digest DigestOf(InodeNumber file, uint32_t count) const;
  InodeNumber FileAt(uint64_t position, uint32_t count) const;
  Digest DigestAt(uint64_t position, uint32_t count) const;
  uint64_t LowerBound(const Digest& digest, uint32_t count) const;

  const PagedSection section_;
};

}  // namespace firn

#endif  // FIRN_FORMAT_DIGEST_INDEX_H_
