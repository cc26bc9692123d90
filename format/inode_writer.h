#ifndef FIRN_FORMAT_INODE_WRITER_H_
#define FIRN_FORMAT_INODE_WRITER_H_

#include <sqfs/dir_writer.h>
#include <sqfs/id_table.h>
#include <sqfs/inode.h>
#include <sqfs/meta_writer.h>
#include <sqfs/super.h>

#include <cstdint>
#include <vector>

#include "format/data_writer.h"
#include "format/image_writer.h"
#include "format/squashfs_output.h"

namespace firn {

// What the metadata of a tree is made of; vectors have one entry an inode, in the order of the
// inode numbers (entry 0 is inode 1).
struct TreeInodes {
  uint32_t regular_count = 0;          // inodes 1 to regular_count are regular files
  std::vector<const TreeNode*> nodes;  // of a hard-linked file: the one that is no hard link
  std::vector<uint32_t> link_counts;
  std::vector<const FileLayout*> layouts;  // of the regular files
};

// Writes the inode table, the directory table, the export table and the id table of a tree, and
// sets what the superblock says of them. Not thread-safe.
class InodeWriter {
 public:
  InodeWriter(SquashfsOutput& output, sqfs_compressor_t& compressor, int64_t time,
              const TreeInodes& inodes);

  // Inode table and directory table; to be written where the output ends.
  void WriteTree(const TreeNode& root, sqfs_super_t& super);
  // Export table and id table, behind the fragment table.
  void WriteTables(sqfs_super_t& super);

 private:
  void WriteNode(const TreeNode& node);
  void WriteDirectory(const TreeNode& node);
  void WriteRegular(const TreeNode& node);
  void WriteSymlink(const TreeNode& node);
  void WriteOther(const TreeNode& node);
  void WriteInode(const TreeNode& node, sqfs_inode_generic_t& inode);
  uint32_t NumberOf(const TreeNode& node) const { return ToInt(node.inode_number); }
  uint32_t LinksOf(const TreeNode& node) const { return inodes_.link_counts[NumberOf(node) - 1]; }

  SquashfsOutput& output_;
  sqfs_compressor_t& compressor_;
  const uint32_t time_;
  const TreeInodes& inodes_;
  std::vector<uint64_t> references_;  // one an inode, set when it was written
  SqfsHandle<sqfs_meta_writer_t> inode_stream_;
  SqfsHandle<sqfs_meta_writer_t> directory_stream_;
  SqfsHandle<sqfs_dir_writer_t> directories_;
  SqfsHandle<sqfs_id_table_t> ids_;
  uint16_t root_id_ = 0;
  uint32_t root_number_ = 0;
};

}  // namespace firn

#endif  // FIRN_FORMAT_INODE_WRITER_H_
