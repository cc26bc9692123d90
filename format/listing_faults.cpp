#include "format/listing_faults.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "format/directory.h"
#include "format/error.h"
#include "format/listing_walk.h"

namespace firn {
namespace {

// An image decides how much of this there is; a few bytes of it can decode to millions of entries.
constexpr uint64_t kMostEntries = uint64_t{1} << 24;
constexpr size_t kMostSubdirectories = size_t{1} << 20;
constexpr size_t kMostFaults = 4096;

struct FaultRecord {
  uint64_t cookie = 0;
  ListingFault fault{};
  uint32_t unused = 0;
};

struct Subdirectory {
  InodeNumber number{};
  uint64_t cookie = 0;
};

// The entries of a directory's index, in their order.
class IndexReader {
 public:
  IndexReader(const MetadataTable& inodes, const Inode& directory)
      : directory_(directory), left_(directory.directory.index_count) {
    if (left_ == 0) return;
    cursor_.emplace(inodes, directory.directory.index);
    ReadNext();
  }

  // A run begins with that entry: where the index has it, has it this name and place?
  bool Agrees(const ListingWalk& walk, std::string_view name) {
    if (left_ == 0 || walk.run_offset() < listing_offset_) return true;
    const MetadataPosition& place = walk.run_position();
    const bool agrees =
        walk.run_offset() == listing_offset_ && name == name_ && place.block == block_ &&
        place.offset ==
            (uint64_t{directory_.directory.listing.offset} + listing_offset_) % kMetadataBlockSize;
    if (--left_ > 0) ReadNext();
    return agrees;
  }
  bool AtEnd() const { return left_ == 0; }

 private:
  void ReadNext() {
    listing_offset_ = cursor_->ReadNumber<uint32_t>();
    block_ = cursor_->ReadNumber<uint32_t>();
    const uint64_t name_length = uint64_t{cursor_->ReadNumber<uint32_t>()} + 1;
    if (name_length > kMaxNameLength) {
      throw DamagedError("directory table: an index has a name that is too long");
    }
    name_.resize(name_length);
    cursor_->Read(std::as_writable_bytes(std::span(name_)));
  }

  const Inode& directory_;
  uint32_t left_;
  std::optional<MetadataCursor> cursor_;
  uint64_t listing_offset_ = 0;
  uint64_t block_ = 0;
  std::string name_;
};

// What FindListingFaults() collects.
class FaultFinder {
 public:
  FaultFinder(const MetadataTable& inodes, const MetadataTable& listings, const Inode& directory)
      : listings_(listings), directory_(directory), index_(inodes, directory) {}

  std::vector<FaultRecord> Find() {
    ListingWalk walk(listings_, directory_, directory_.directory.listing, 0);
    DirectoryEntry entry;
    bool index_is_right = true;
    for (uint64_t count = 1; walk.Next(entry); ++count) {
      if (count > kMostEntries) Refuse("entries", kMostEntries);
      if (walk.begins_run()) index_is_right &= index_.Agrees(walk, entry.name);
      Look(entry);
    }
    if (!index_is_right || !index_.AtEnd()) Add(0, ListingFault::kIndex);
    FindSecondNames();
    std::ranges::sort(faults_, {}, &FaultRecord::cookie);
    return std::move(faults_);
  }

 private:
  void Look(const DirectoryEntry& entry) {
    if (!IsPossibleName(entry.name)) return Add(entry.next_cookie, ListingFault::kImpossibleName);
    if (entry.name <= last_) return Add(entry.next_cookie, ListingFault::kOutOfOrder);
    last_ = entry.name;
    if (entry.type != FileType::kDirectory) return;
    if (subdirectories_.size() == kMostSubdirectories) {
      Refuse("subdirectories", kMostSubdirectories);
    }
    subdirectories_.push_back({entry.inode, entry.next_cookie});
  }

  // Or a tree in which each directory has two names for the next would be as good as endless.
  void FindSecondNames() {
    const auto before = [](const Subdirectory& a, const Subdirectory& b) {
      return a.number != b.number ? a.number < b.number : a.cookie < b.cookie;
    };
    std::ranges::sort(subdirectories_, before);
    for (size_t i = 1; i < subdirectories_.size(); ++i) {
      if (subdirectories_[i].number != subdirectories_[i - 1].number) continue;
      Add(subdirectories_[i].cookie, ListingFault::kSecondName);
    }
  }

  void Add(uint64_t cookie, ListingFault fault) {
    if (faults_.size() == kMostFaults) Refuse("entries that are damaged", kMostFaults);
    faults_.push_back({.cookie = cookie, .fault = fault});
  }

  [[noreturn]] void Refuse(const char* what, uint64_t most) const {
    throw DamagedError(
        "directory table: a directory has more than " + std::to_string(most) + " " + what,
        listings_.start() + directory_.directory.listing.block);
  }

  const MetadataTable& listings_;
  const Inode& directory_;
  IndexReader index_;
  std::string last_;  // name that was not out of order
  std::vector<Subdirectory> subdirectories_;
  std::vector<FaultRecord> faults_;
};

}  // namespace

std::string_view Describe(ListingFault fault) {
  switch (fault) {
    case ListingFault::kImpossibleName:
      return "has a name that no file may have";
    case ListingFault::kOutOfOrder:
      return "stands out of the order of names, or has one that stands there already";
    case ListingFault::kSecondName:
      return "leads to a directory that has another name already";
    case ListingFault::kIndex:
      return "the index leads to no run of the listing";
    case ListingFault::kNone:
      break;
  }
  return "is as it must be";
}

ListingFault ListingFaults::Of(uint64_t cookie) const {
  const auto* const records = reinterpret_cast<const FaultRecord*>(block_->bytes().data());
  const std::span all(records, block_->bytes().size() / sizeof(FaultRecord));
  const auto found = std::ranges::lower_bound(all, cookie, {}, &FaultRecord::cookie);
  return found != all.end() && found->cookie == cookie ? found->fault : ListingFault::kNone;
}

std::shared_ptr<const Block> FindListingFaults(const MetadataTable& inodes,
                                               const MetadataTable& listings,
                                               const Inode& directory) {
  const std::vector<FaultRecord> faults = FaultFinder(inodes, listings, directory).Find();
  auto block = std::make_shared<Block>(faults.size() * sizeof(FaultRecord));
  if (!faults.empty()) std::memcpy(block->writable().data(), faults.data(), block->bytes().size());
  return block;
}

}  // namespace firn
