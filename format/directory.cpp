#include "format/directory.h"

#include <array>
#include <cstring>
#include <string>

#include "format/error.h"

namespace firn {
namespace {

constexpr uint32_t kMaxNameLength = 256;
constexpr uint32_t kMaxEntriesInRun = 256;
constexpr uint32_t kRunHeaderLength = 12;
constexpr uint32_t kEntryHeaderLength = 8;

Error DamagedListing(const std::string& message, uint64_t offset) {
  return DamagedError("directory table: " + message, offset);
}

// A cookie names the entry behind which a listing goes on: the offset of its run in the listing,
// and its number in the run. It is never 0.
uint64_t MakeCookie(uint64_t run_offset, uint32_t entry) { return (run_offset << 8 | entry) + 1; }

using NameBuffer = std::array<char, kMaxNameLength>;

}  // namespace

bool IsPossibleName(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == name.npos &&
         name.find('\0') == name.npos && name.size() < kMaxNameLength;
}

// Walks a listing entry by entry. Entries stand in runs that share a header.
class DirectoryReader::Walk {
 public:
  Walk(const MetadataTable& listings, const Inode& directory, MetadataPosition position,
       uint64_t skipped)
      : table_start_(listings.start()),
        length_(directory.directory.listing_length),
        consumed_(skipped),
        cursor_(listings, position) {}

  // The next entry, its name in a buffer that the next call reuses; false at the end.
  bool Next(DirectoryEntry& entry) {
    if (entry_ == run_entries_) {
      if (consumed_ >= length_) return false;
      ReadRunHeader();
    }
    cursor_.Skip(2);  // offset of the inode in its block: the number is enough
    const int16_t delta = static_cast<int16_t>(cursor_.ReadNumber<uint16_t>());
    const uint16_t type = cursor_.ReadNumber<uint16_t>();
    const uint32_t name_length = uint32_t{cursor_.ReadNumber<uint16_t>()} + 1;
    Consume(kEntryHeaderLength + name_length);
    if (name_length > kMaxNameLength) Fail("a name is too long");
    cursor_.Read(std::as_writable_bytes(std::span(name_).first(name_length)));
    entry.name = {name_.data(), name_length};
    entry.inode = InodeNumber{base_number_ + static_cast<uint32_t>(delta)};
    entry.type = FileType{static_cast<uint8_t>(type > 7 ? 0 : type)};
    entry.next_cookie = MakeCookie(run_offset_, entry_);
    ++entry_;
    return true;
  }

 private:
  void ReadRunHeader() {
    run_offset_ = consumed_;
    const uint32_t count = cursor_.ReadNumber<uint32_t>();
    cursor_.Skip(4);  // block of the inodes: the number is enough
    base_number_ = cursor_.ReadNumber<uint32_t>();
    Consume(kRunHeaderLength);
    if (count >= kMaxEntriesInRun) Fail("a run has too many entries");
    run_entries_ = count + 1;
    entry_ = 0;
  }

  void Consume(uint32_t bytes) {
    consumed_ += bytes;
    if (consumed_ > length_) Fail("a listing is longer than its directory says");
  }

  [[noreturn]] void Fail(const char* message) const {
    throw DamagedListing(message, table_start_ + cursor_.position().block);
  }

  const uint64_t table_start_;
  const uint64_t length_;
  uint64_t consumed_;
  MetadataCursor cursor_;
  uint64_t run_offset_ = 0;
  uint32_t run_entries_ = 0;
  uint32_t entry_ = 0;
  uint32_t base_number_ = 0;
  NameBuffer name_;
};

// An entry of a directory's index: where in the listing a run starts that begins with `name`.
template <typename IsBefore>
MetadataPosition DirectoryReader::Seek(const Inode& directory, IsBefore is_before,
                                       uint64_t& skipped) const {
  MetadataPosition position = directory.directory.listing;
  skipped = 0;
  if (directory.directory.index_count == 0) return position;
  MetadataCursor index(inodes_, directory.directory.index);
  NameBuffer buffer;
  for (uint32_t i = 0; i < directory.directory.index_count; ++i) {
    const uint32_t listing_offset = index.ReadNumber<uint32_t>();
    const uint32_t block = index.ReadNumber<uint32_t>();
    const uint64_t name_length = uint64_t{index.ReadNumber<uint32_t>()} + 1;
    if (name_length > kMaxNameLength) {
      throw DamagedListing("an index has a name that is too long", inodes_.start());
    }
    index.Read(std::as_writable_bytes(std::span(buffer).first(name_length)));
    if (!is_before(std::string_view(buffer.data(), name_length), listing_offset)) break;
    skipped = listing_offset;
    position.block = block;
    position.offset = static_cast<uint32_t>(
        (uint64_t{directory.directory.listing.offset} + listing_offset) % kMetadataBlockSize);
  }
  return position;
}

std::optional<InodeNumber> DirectoryReader::Lookup(const Inode& directory,
                                                   std::string_view name) const {
  if (!IsPossibleName(name) || directory.directory.listing_length == 0) return std::nullopt;
  uint64_t skipped = 0;
  const MetadataPosition position = Seek(
      directory, [&](std::string_view first, uint32_t) { return first <= name; }, skipped);
  Walk walk(listings_, directory, position, skipped);
  DirectoryEntry entry;
  while (walk.Next(entry)) {
    if (entry.name == name) return entry.inode;
    if (entry.name > name) break;  // sorted by their bytes
  }
  return std::nullopt;
}

void DirectoryReader::List(const Inode& directory, uint64_t cookie,
                           const std::function<bool(const DirectoryEntry&)>& visit) const {
  if (directory.directory.listing_length == 0) return;
  uint64_t skipped = 0;
  const MetadataPosition position = Seek(
      directory, [&](std::string_view, uint32_t offset) { return MakeCookie(offset, 0) <= cookie; },
      skipped);
  Walk walk(listings_, directory, position, skipped);
  DirectoryEntry entry;
  // A cookie comes from a client and may be made up. The walk is always one from run to run, so
  // such a cookie can shorten the listing, and never make the middle of an entry look like one.
  while (walk.Next(entry)) {
    if (entry.next_cookie <= cookie) continue;
    if (IsPossibleName(entry.name) && !visit(entry)) return;
  }
}

}  // namespace firn
