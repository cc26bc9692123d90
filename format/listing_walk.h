#ifndef FIRN_FORMAT_LISTING_WALK_H_
#define FIRN_FORMAT_LISTING_WALK_H_

#include <array>
#include <cstdint>

#include "format/image.h"
#include "format/inode.h"
#include "format/metadata.h"

namespace firn {

// A name's length is stored less one in FORMAT.md's listings and indexes.
inline constexpr uint32_t kMaxNameLength = 256;

// A cookie names the entry behind which a listing goes on: the offset of its run in the listing,
// and its number in the run. It is never 0.
constexpr uint64_t MakeCookie(uint64_t run_offset, uint32_t entry) {
  return (run_offset << 8 | entry) + 1;
}

// Walks a directory's listing entry by entry, as it is stored. Entries stand in runs that share a
// header. Not thread-safe; the table is borrowed.
class ListingWalk {
 public:
  // Begins with the run at `position`, before which `skipped` bytes of the listing stand.
  ListingWalk(const MetadataTable& listings, const Inode& directory, MetadataPosition position,
              uint64_t skipped)
      : table_start_(listings.start()),
        length_(directory.directory.listing_length),
        consumed_(skipped),
        cursor_(listings, position) {}

  // The next entry, its name in a buffer that the next call reuses; false at the end. Throws
  // kDamaged where the listing is not what FORMAT.md says, or does not end where its inode says.
  bool Next(DirectoryEntry& entry);

  // Of the entry that Next() gave: does its run begin with it, and where does that stand?
  bool begins_run() const { return entry_ == 1; }
  uint64_t run_offset() const { return run_offset_; }  // in the listing
  const MetadataPosition& run_position() const { return run_position_; }

 private:
  void ReadRunHeader();
  void Consume(uint32_t bytes);
  [[noreturn]] void Fail(const char* message) const;

  const uint64_t table_start_;
  const uint64_t length_;
  uint64_t consumed_;
  MetadataCursor cursor_;
  uint64_t run_offset_ = 0;
  MetadataPosition run_position_;
  uint32_t run_entries_ = 0;
  uint32_t entry_ = 0;
  uint32_t base_number_ = 0;
  std::array<char, kMaxNameLength> name_;
};

}  // namespace firn

#endif  // FIRN_FORMAT_LISTING_WALK_H_
