#ifndef FIRN_FORMAT_LISTING_FAULTS_H_
#define FIRN_FORMAT_LISTING_FAULTS_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "format/block_cache.h"
#include "format/inode.h"
#include "format/metadata.h"

namespace firn {

// What can be wrong with single entries of a listing, or its index, so that the others are of use.
enum class ListingFault : uint32_t {
  kNone,
  kImpossibleName,  // "", ".", "..", one with '/' or NUL, or a longer one than 255 bytes
  kOutOfOrder,      // its name does not stand behind those before it: a second one, or misplaced
  kSecondName,      // its directory has another name in the same listing already
  kIndex            // the index does not lead to runs of the listing: of no entry
};

// As a sentence about the entry.
std::string_view Describe(ListingFault fault);

// What is wrong in a listing. In most there is nothing.
class ListingFaults {
 public:
  // `block` is what FindListingFaults() gave.
  explicit ListingFaults(std::shared_ptr<const Block> block) : block_(std::move(block)) {}

  bool none() const { return block_->bytes().empty(); }
  // Of the entry with that cookie.
  ListingFault Of(uint64_t cookie) const;

 private:
  std::shared_ptr<const Block> block_;
};

// Reads a directory's whole listing, and its index, once, to be cached. `inodes` holds the
// indexes, `listings` the listings. Throws kDamaged where the listing cannot be read to its end,
// or asks for more than any directory needs.
std::shared_ptr<const Block> FindListingFaults(const MetadataTable& inodes,
                                               const MetadataTable& listings,
                                               const Inode& directory);

}  // namespace firn

#endif  // FIRN_FORMAT_LISTING_FAULTS_H_
