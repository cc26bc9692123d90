#ifndef FIRN_FORMAT_INODE_TABLE_H_
#define FIRN_FORMAT_INODE_TABLE_H_

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "format/inode.h"
#include "format/metadata.h"
#include "format/superblock.h"
#include "format/types.h"

namespace firn {

// Inodes by number or by reference. Thread-safe.
class InodeTable {
 public:
  static constexpr uint32_t kNoXattr = 0xffffffff;

  // An inode as the table has it.
  struct Record {
    Inode inode;
    bool extended = false;
    uint32_t xattr = kNoXattr;  // entry of the xattr table
  };

  // Reads the id table, whose size is bounded by its format (65,535 entries).
  InodeTable(MetadataContext context, const Superblock& super);

  Inode ByReference(InodeReference reference) const;
  // Through the export table, or, in a file without one, through a scan of the whole inode table
  // that happens once, when it is first needed.
  Inode ByNumber(InodeNumber number) const;

  // For who reads the whole table: the inode at the cursor, which then stands behind it.
  Record ReadNext(MetadataCursor& cursor) const;

  // What a symlink leads to, as it stands there.
  std::string ReadTarget(const Inode& symlink) const;

  const MetadataTable& metadata() const { return metadata_; }

 private:
  InodeReference ReferenceOf(InodeNumber number) const;
  struct Located {
    InodeNumber number{};
    InodeReference reference{};
  };

  // Leaves the cursor behind the part of fixed length.
  Record Decode(MetadataCursor& cursor) const;
  void DecodeBody(MetadataCursor& cursor, Record& record) const;
  void CountBlocks(Inode& inode, const MetadataPosition& list) const;
  uint32_t Id(uint16_t index) const;
  void Scan() const;
  static void SkipRest(MetadataCursor& cursor, Record& record);

  const uint32_t inode_count_;
  const uint32_t block_size_;
  const MetadataTable metadata_;
  const IndexedTable exports_;
  std::vector<uint32_t> ids_;
  mutable std::once_flag scanned_;
  mutable std::vector<Located> located_;  // by number, after a scan
};

}  // namespace firn

#endif  // FIRN_FORMAT_INODE_TABLE_H_
