#include <array>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "format/directory.h"
#include "format/error.h"
#include "format/listing_walk.h"
#include "format/verify_deep.h"

namespace firn {
namespace {

constexpr uint32_t kMaxEntriesInRun = 256;

// Walks the tree by its listings alone and compares what they say with the inodes.
class ListingVerifier {
 public:
  ListingVerifier(const DeepTables& tables, DeepTree& tree, VerifyLog& log)
      : tables_(tables),
        tree_(tree),
        log_(log),
        listed_(MostDecodedMetadata(tables.listings.limit() - tables.listings.start())) {}

  void Run() {
    const Inode root = tables_.inodes.ByReference(tables_.super.root);
    DeepInode* found = tree_.Find(root.number);
    if (found == nullptr || !root.IsDirectory()) {
      return log_.Add({}, 32, "superblock: the root is no directory of the inode table");
    }
    found->names = 1;
    if (ToInt(found->said_parent) != tables_.super.inode_count + 1) {
      log_.Add("/", tables_.OffsetOf(found->reference), "the root says that it has a parent");
    }
    pending_.push_back(root.number);
    while (!pending_.empty()) {
      const InodeNumber number = pending_.back();
      pending_.pop_back();
      try {
        ReadDirectory(number, *tree_.Find(number));
      } catch (const Error& error) {
        log_.Add(tree_.PathOf(number), error);
      }
    }
    CheckLinks();
  }

 private:
  // A run of entries: its header.
  struct RunHeader {
    uint32_t count = 0;
    uint32_t inode_block = 0;
    uint32_t base = 0;
  };
  // An entry, and where in the file its metadata block stands.
  struct Entry {
    InodeNumber directory{};
    const std::string& name;
    uint64_t offset = 0;
  };
  // What it leads to.
  struct Target {
    InodeNumber number{};
    InodeReference reference{};
    FileType type{};
  };

  void ReadDirectory(InodeNumber number, const DeepInode& known) {
    const Inode inode = tables_.inodes.ByReference(known.reference);
    std::map<uint64_t, std::string> runs;  // first name, by offset in the listing
    const uint64_t length = inode.directory.listing_length;
    if (length > 0 && !IsOwnListing(number, inode)) return;
    MetadataPosition position = inode.directory.listing;
    if (length > 0) {
      MetadataCursor cursor(tables_.listings, position);
      std::string previous;
      uint64_t at = 0;
      while (at < length) {
        const uint64_t start = at;
        const RunHeader run{cursor.ReadNumber<uint32_t>(), cursor.ReadNumber<uint32_t>(),
                            cursor.ReadNumber<uint32_t>()};
        at += 12;
        const uint64_t offset = tables_.listings.start() + cursor.position().block;
        if (run.count >= kMaxEntriesInRun) throw DamagedError("a run has too many entries", offset);
        for (uint32_t i = 0; i <= run.count; ++i) {
          at += ReadEntry(number, run, cursor, previous);
          if (i == 0) runs[start] = previous;
        }
        if (at > length) throw DamagedError("the listing is longer than its inode says", offset);
      }
    }
    CheckIndex(number, inode, runs);
  }

  // Do two directories share one listing? Reading it again for each would take for ever.
  bool IsOwnListing(InodeNumber number, const Inode& inode) {
    const MetadataPosition& listing = inode.directory.listing;
    const bool is_own = listings_.insert({listing.block, listing.offset}).second;
    if (is_own && listed_.Take(inode.directory.listing_length)) return true;
    log_.Add(tree_.PathOf(number), tables_.listings.start() + listing.block,
             "has its listing where another directory has it");
    return false;
  }

  // Returns its length. `previous` is the name before, and then this one.
  uint64_t ReadEntry(InodeNumber directory, const RunHeader& run, MetadataCursor& cursor,
                     std::string& previous) {
    const uint64_t offset = tables_.listings.start() + cursor.position().block;
    const uint16_t inode_offset = cursor.ReadNumber<uint16_t>();
    const int16_t difference = static_cast<int16_t>(cursor.ReadNumber<uint16_t>());
    const uint16_t type = cursor.ReadNumber<uint16_t>();
    const uint32_t name_length = uint32_t{cursor.ReadNumber<uint16_t>()} + 1;
    if (name_length > kMaxNameLength) throw DamagedError("a name is too long", offset);
    std::string name(name_length, '\0');
    cursor.Read(std::as_writable_bytes(std::span(name)));
    const Entry entry{directory, name, offset};
    if (!IsPossibleName(name)) {
      Add(entry, "a name that no file may have");
    } else if (!previous.empty() && name <= previous) {
      Add(entry, "does not stand in the order of names");
    }
    const InodeReference reference{uint64_t{run.inode_block} << 16 | inode_offset};
    const InodeNumber number{run.base + static_cast<uint32_t>(difference)};
    NoteEntry(entry, {number, reference, FileType{static_cast<uint8_t>(type)}});
    previous = std::move(name);
    return 8 + name_length;
  }

  void Add(const Entry& entry, std::string message) {
    log_.Add(tree_.PathOf(entry.directory, entry.name), entry.offset, std::move(message));
  }

  void NoteEntry(const Entry& entry, const Target& target) {
    DeepInode* inode = tree_.Find(target.number);
    if (inode == nullptr) {
      const std::string number = std::to_string(ToInt(target.number));
      return Add(entry, tree_.unreadable.contains(ToInt(target.number))
                            ? "its inode, number " + number + ", cannot be read"
                            : "leads to inode " + number + ", which is not there");
    }
    if (inode->reference != target.reference) {
      Add(entry, "the listing leads to another inode than its number does");
    }
    if (inode->type != target.type) {
      Add(entry, "the listing says that it is of another type than it is");
    }
    const bool is_directory = inode->type == FileType::kDirectory;
    if (++inode->names > 1) {
      if (is_directory) Add(entry, "a directory has two names");
      return;
    }
    inode->parent = entry.directory;
    inode->name = entry.name;
    if (!is_directory) return;
    ++tree_.Find(entry.directory)->subdirectories;
    pending_.push_back(target.number);
    if (inode->said_parent != entry.directory) {
      Add(entry, "names another directory as its parent");
    }
  }

  void CheckIndex(InodeNumber number, const Inode& inode,
                  const std::map<uint64_t, std::string>& runs) {
    if (inode.directory.index_count == 0) return;
    MetadataCursor index(tables_.inodes.metadata(), inode.directory.index);
    uint64_t previous = 0;
    for (uint32_t i = 0; i < inode.directory.index_count; ++i) {
      const uint64_t in_listing = index.ReadNumber<uint32_t>();
      const uint64_t block = index.ReadNumber<uint32_t>();
      const uint64_t name_length = uint64_t{index.ReadNumber<uint32_t>()} + 1;
      const uint64_t offset = tables_.super.inode_table + index.position().block;
      if (name_length > kMaxNameLength)
        throw DamagedError("a name in the index is too long", offset);
      std::string name(name_length, '\0');
      index.Read(std::as_writable_bytes(std::span(name)));
      const auto run = runs.find(in_listing);
      if (run == runs.end() || run->second != name || (i > 0 && in_listing <= previous) ||
          !LeadsTo(inode, in_listing, block, name)) {
        return log_.Add(tree_.PathOf(number), offset,
                        "entry " + std::to_string(i) + " of its index leads to no run of it");
      }
      previous = in_listing;
    }
  }

  // Does the run at the place that the index gives begin with the name?
  bool LeadsTo(const Inode& inode, uint64_t in_listing, uint64_t block, const std::string& name) {
    const uint64_t offset = (inode.directory.listing.offset + in_listing) % kMetadataBlockSize;
    MetadataCursor cursor(tables_.listings, {block, static_cast<uint32_t>(offset)});
    cursor.Skip(12 + 6);
    if (cursor.ReadNumber<uint16_t>() + size_t{1} != name.size()) return false;
    std::string found(name.size(), '\0');
    cursor.Read(std::as_writable_bytes(std::span(found)));
    return found == name;
  }

  void CheckLinks() {
    for (const auto& [number, inode] : tree_.inodes) {
      const bool is_directory = inode.type == FileType::kDirectory;
      const uint32_t expected = is_directory ? 2 + inode.subdirectories : inode.names;
      const uint64_t offset = tables_.OffsetOf(inode.reference);
      const std::string text = "inode " + std::to_string(number);
      if (inode.names == 0) {
        log_.Add({}, offset, text + " is in no directory");
      } else if (inode.links != expected) {
        log_.Add(tree_.PathOf(InodeNumber{number}), offset,
                 text + " has a link count of " + std::to_string(inode.links) + ", expected " +
                     std::to_string(expected));
      }
    }
  }

  const DeepTables& tables_;
  DeepTree& tree_;
  VerifyLog& log_;
  std::vector<InodeNumber> pending_;
  std::set<std::pair<uint64_t, uint32_t>> listings_;
  ReadBudget listed_;
};

}  // namespace

void VerifyListings(const DeepTables& tables, DeepTree& tree, VerifyLog& log) {
  const uint64_t length = tables.super.bytes_used - tables.super.directory_table;
  log.Expect(length);
  ListingVerifier(tables, tree, log).Run();
  log.Advance(length);
}

}  // namespace firn
