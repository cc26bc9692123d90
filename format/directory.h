#ifndef FIRN_FORMAT_DIRECTORY_H_
#define FIRN_FORMAT_DIRECTORY_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "format/image.h"
#include "format/inode.h"
#include "format/metadata.h"
#include "format/types.h"

namespace firn {

// May a directory have an entry of this name: not empty, at most 255 bytes, not "." or "..",
// without
// '/' and NUL?
bool IsPossibleName(std::string_view name);

// Listings of directories. Thread-safe; the tables are borrowed.
class DirectoryReader {
 public:
  // `inodes` holds the directory indexes, `listings` the directory table.
  DirectoryReader(const MetadataTable& inodes, const MetadataTable& listings)
      : inodes_(inodes), listings_(listings) {}

  std::optional<InodeNumber> Lookup(const Inode& directory, std::string_view name) const;
  // Entries whose names no directory may have are left out.
  void List(const Inode& directory, uint64_t cookie,
            const std::function<bool(const DirectoryEntry&)>& visit) const;

 private:
  class Walk;

  // Where the last run of entries starts that the index knows and for which
  // `is_before(first name, offset in the listing)` holds; `skipped` gets that offset.
  template <typename IsBefore>
  MetadataPosition Seek(const Inode& directory, IsBefore is_before, uint64_t& skipped) const;

  const MetadataTable& inodes_;
  const MetadataTable& listings_;
};

}  // namespace firn

#endif  // FIRN_FORMAT_DIRECTORY_H_
