#ifndef FIRN_FORMAT_DIRECTORY_H_
#define FIRN_FORMAT_DIRECTORY_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "format/error.h"
#include "format/image.h"
#include "format/inode.h"
#include "format/listing_faults.h"
#include "format/metadata.h"
#include "format/types.h"

namespace firn {

// May a directory have an entry of this name: not empty, at most 255 bytes, not "." or "..",
// without
// '/' and NUL?
bool IsPossibleName(std::string_view name);

// Listings of directories. A listing is read whole when its directory is first used: what is wrong
// with single entries is known from then on, and costs these alone. Thread-safe; the tables are
// borrowed.
class DirectoryReader {
 public:
  using Visit = std::function<bool(const DirectoryEntry&)>;
  // Told of an entry that is left out, and why.
  using LeftOut = std::function<void(const DirectoryEntry&, const Error&)>;

  // `inodes` holds the directory indexes, `listings` the directory table.
  DirectoryReader(const MetadataContext& context, const MetadataTable& inodes,
                  const MetadataTable& listings)
      : context_(context), inodes_(inodes), listings_(listings) {}

  // The entry of that name, `name` being its own. Throws kDamaged where it is a second name of a
  // directory.
  std::optional<DirectoryEntry> Lookup(const Inode& directory, std::string_view name) const;
  void List(const Inode& directory, uint64_t cookie, const Visit& visit,
            const LeftOut& left_out) const;

 private:
  ListingFaults FaultsOf(const Inode& directory) const;
  Error ErrorOf(const Inode& directory, std::string_view name, ListingFault fault) const;

  // Where the last run of entries starts that the index knows and for which
  // `is_before(first name, offset in the listing)` holds; `skipped` gets that offset.
  template <typename IsBefore>
  MetadataPosition Seek(const Inode& directory, IsBefore is_before, uint64_t& skipped) const;

  const MetadataContext context_;
  const MetadataTable& inodes_;
  const MetadataTable& listings_;
};

}  // namespace firn

#endif  // FIRN_FORMAT_DIRECTORY_H_
