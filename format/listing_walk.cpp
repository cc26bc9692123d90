#include "format/listing_walk.h"

#include <span>

#include "format/error.h"

namespace firn {
namespace {

constexpr uint32_t kMostEntriesOfRun = 256;
constexpr uint32_t kRunHeaderLength = 12;
constexpr uint32_t kEntryHeaderLength = 8;
constexpr uint16_t kLastType = 7;

}  // namespace

bool ListingWalk::Next(DirectoryEntry& entry) {
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
  entry.type = FileType{static_cast<uint8_t>(type > kLastType ? 0 : type)};
  entry.next_cookie = MakeCookie(run_offset_, entry_);
  ++entry_;
  return true;
}

void ListingWalk::ReadRunHeader() {
  run_offset_ = consumed_;
  cursor_.HasMore();  // has position() name the block in which the header begins
  run_position_ = cursor_.position();
  const uint32_t count = cursor_.ReadNumber<uint32_t>();
  cursor_.Skip(4);  // block of the inodes: the number is enough
  base_number_ = cursor_.ReadNumber<uint32_t>();
  Consume(kRunHeaderLength);
  if (count >= kMostEntriesOfRun) Fail("a run has too many entries");
  run_entries_ = count + 1;
  entry_ = 0;
}

void ListingWalk::Consume(uint32_t bytes) {
  consumed_ += bytes;
  if (consumed_ > length_) Fail("a listing is longer than its directory says");
}

void ListingWalk::Fail(const char* message) const {
  throw DamagedError(std::string("directory table: ") + message,
                     table_start_ + cursor_.position().block);
}

}  // namespace firn
