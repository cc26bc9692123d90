#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "format/error.h"
#include "format/layout.h"
#include "format/little_endian.h"
#include "format/verify_deep.h"

namespace firn {
namespace {

// Where the table cannot be read to its end, inodes are looked for one by one through the export
// table. Its length is what a damaged image claims: after so many failures the rest is left.
constexpr uint32_t kMaxUnreadable = 10'000;

std::string NameOf(InodeNumber number) { return "inode " + std::to_string(ToInt(number)); }

class InodeVerifier {
 public:
  InodeVerifier(const DeepTables& tables, uint32_t xattr_count, DeepTree& tree, VerifyLog& log)
      : tables_(tables),
        xattr_count_(xattr_count),
        tree_(tree),
        log_(log),
        blocks_(MostDecodedMetadata(tables.super.directory_table - tables.super.inode_table) / 4) {}

  void Run() {
    if (tables_.exports.count() == 0) log_.Add({}, 88, "superblock: there is no export table");
    try {
      ReadTable();
    } catch (const Error& error) {
      log_.Add({}, error);
      ReadByNumber();
    }
  }

 private:
  void ReadTable() {
    MetadataCursor cursor(tables_.inodes.metadata(), {});
    for (uint32_t i = 0; i < tables_.super.inode_count; ++i) {
      if (!cursor.HasMore()) {
        Add(4, "the inode table has " + std::to_string(i) + " inodes, the superblock says " +
                   std::to_string(tables_.super.inode_count));
        return;
      }
      const MetadataPosition start = cursor.position();
      const InodeReference reference{start.block << 16 | start.offset};
      Note(reference, tables_.inodes.ReadNext(cursor));
    }
    if (cursor.HasMore()) {
      Add(tables_.super.inode_table + cursor.position().block,
          "something follows the last inode of the inode table");
    }
  }

  void ReadByNumber() {
    uint32_t failed = 0;
    for (uint32_t i = 1; i <= tables_.super.inode_count && failed < kMaxUnreadable; ++i) {
      const InodeNumber number{i};
      if (tree_.Find(number) != nullptr) continue;
      try {
        const InodeReference reference = Exported(number);
        MetadataCursor cursor(tables_.inodes.metadata(),
                              {ToInt(reference) >> 16, uint32_t(ToInt(reference) & 0xffff)});
        const InodeTable::Record record = tables_.inodes.ReadNext(cursor);
        if (record.inode.number != number) throw DamagedError("another inode's number");
        Note(reference, record);
      } catch (const Error&) {
        // Of what damage, the table's findings say; whose inode it is, the listing that has it.
        tree_.unreadable.insert(i);
        ++failed;
      }
    }
  }

  void Note(InodeReference reference, const InodeTable::Record& record) {
    const Inode& inode = record.inode;
    const uint64_t offset = tables_.OffsetOf(reference);
    if (ToInt(inode.number) == 0 || ToInt(inode.number) > tables_.super.inode_count) {
      Add(offset, NameOf(inode.number) + " of " + std::to_string(tables_.super.inode_count));
      return;
    }
    const auto [place, is_new] = tree_.inodes.try_emplace(ToInt(inode.number));
    if (!is_new) {
      Add(offset, "two inodes have the number " + std::to_string(ToInt(inode.number)));
      return;
    }
    place->second.reference = reference;
    place->second.type = inode.type;
    place->second.links = inode.link_count;
    place->second.said_parent = inode.directory.parent;
    CheckExport(inode.number, reference);
    if (record.xattr != InodeTable::kNoXattr && record.xattr >= xattr_count_) {
      Add(offset, NameOf(inode.number) + " has extended attributes " +
                      std::to_string(record.xattr) + " of " + std::to_string(xattr_count_));
    }
    if (inode.IsRegular()) CheckBlocks(inode, offset);
    if (inode.IsSymlink()) CheckTarget(inode, offset);
  }

  InodeReference Exported(InodeNumber number) const {
    std::array<std::byte, 8> entry;
    tables_.exports.ReadEntry(ToInt(number) - 1, entry);
    return InodeReference{LoadLe<uint64_t>(entry.data())};
  }

  void CheckExport(InodeNumber number, InodeReference reference) {
    if (tables_.exports.count() == 0) return;
    try {
      const InodeReference exported = Exported(number);
      if (exported == reference) return;
      Add(tables_.super.export_table, "export table: " + NameOf(number) + " is said to be at " +
                                          Describe(exported) + ", it is at " + Describe(reference));
      // Who looks the number up gets what stands there.
      tables_.inodes.ByNumber(number);
    } catch (const Error& error) {
      log_.Add({}, error);
    }
  }

  static std::string Describe(InodeReference reference) {
    return std::to_string(ToInt(reference) >> 16) + "+" + std::to_string(ToInt(reference) & 0xffff);
  }

  // Do its blocks stand where data may, and does it say truly how much of it is holes?
  void CheckBlocks(const Inode& inode, uint64_t offset) {
    if (!blocks_.Take(inode.file.block_count)) {
      return Add(offset, NameOf(inode.number) + " has its list of blocks where others have theirs");
    }
    MetadataCursor sizes(tables_.inodes.metadata(), inode.file.block_sizes);
    const uint64_t block_size = tables_.super.block_size;
    uint64_t at = inode.file.blocks_start;
    uint64_t holes = 0;
    for (uint64_t i = 0; i < inode.file.block_count; ++i) {
      const uint32_t word = sizes.ReadNumber<uint32_t>();
      const uint32_t length = word & kStoredLengthMask;
      if (length > block_size || word > (kStoredLengthMask | kStoredUncompressed)) {
        return Add(offset, NameOf(inode.number) + ": block " + std::to_string(i) +
                               " has an impossible length of " + std::to_string(length));
      }
      if (length == 0) {
        holes += std::min(block_size, inode.size - i * block_size);
      } else if (at < kFirstDataOffset || !FitsIn(at, length, tables_.super.inode_table)) {
        return Add(offset, NameOf(inode.number) + ": block " + std::to_string(i) + " at " +
                               std::to_string(at) + " stands outside the data");
      }
      at += length;
    }
    if (inode.file.sparse_bytes != holes) {
      Add(offset, NameOf(inode.number) + " says that " + std::to_string(inode.file.sparse_bytes) +
                      " bytes are in holes, these are " + std::to_string(holes));
    }
  }

  void CheckTarget(const Inode& inode, uint64_t offset) {
    if (tables_.inodes.ReadTarget(inode).find('\0') != std::string::npos) {
      Add(offset, NameOf(inode.number) + ": the symlink's target has a NUL");
    }
  }

  void Add(uint64_t offset, std::string message) { log_.Add({}, offset, std::move(message)); }

  const DeepTables& tables_;
  const uint32_t xattr_count_;
  DeepTree& tree_;
  VerifyLog& log_;
  ReadBudget blocks_;
};

}  // namespace

void VerifyInodes(const DeepTables& tables, DeepTree& tree, VerifyLog& log) {
  const uint64_t length = tables.super.directory_table - tables.super.inode_table;
  log.Expect(length);
  InodeVerifier(tables, VerifyXattrs(tables, log), tree, log).Run();
  log.Advance(length);
}

}  // namespace firn
