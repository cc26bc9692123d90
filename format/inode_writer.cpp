#include "format/inode_writer.h"

#include <sqfs/dir.h>

#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <string>

#include "format/directory.h"
#include "format/error.h"

namespace firn {
namespace {

constexpr uint32_t kNoXattr = 0xFFFFFFFF;
constexpr uint32_t kMaxIndexCount = 0xFFFF;

struct FreeInode {
  void operator()(sqfs_inode_generic_t* inode) const { sqfs_free(inode); }
};
using InodeHandle = std::unique_ptr<sqfs_inode_generic_t, FreeInode>;

// libsquashfs frees inodes with free().
InodeHandle NewInode(size_t payload) {
  void* memory = std::calloc(1, sizeof(sqfs_inode_generic_t) + payload);
  if (memory == nullptr) throw std::bad_alloc();
  return InodeHandle(static_cast<sqfs_inode_generic_t*>(memory));
}

const TreeNode& Resolve(const TreeNode& node) {
  return node.hard_link != nullptr ? *node.hard_link : node;
}

// The index is a help for look-ups only; a listing with more headers than it can count does
// without.
void DropOversizedIndex(sqfs_inode_generic_t& inode) {
  if (inode.base.type != SQFS_INODE_EXT_DIR) return;
  const auto* at = reinterpret_cast<const std::byte*>(inode.extra);
  const std::byte* end = at + inode.payload_bytes_used;
  uint32_t count = 0;
  while (at < end) {
    sqfs_dir_index_t entry;
    std::memcpy(&entry, at, sizeof entry);
    at += sizeof entry + entry.size + 1;
    ++count;
  }
  if (count <= kMaxIndexCount) return;
  inode.payload_bytes_used = 0;
  inode.data.dir_ext.inodex_count = 0;
}

}  // namespace

InodeWriter::InodeWriter(SquashfsOutput& output, sqfs_compressor_t& compressor, int64_t time,
                         const TreeInodes& inodes)
    : output_(output),
      compressor_(compressor),
      time_(static_cast<uint32_t>(time)),
      inodes_(inodes),
      references_(inodes.nodes.size()),
      inode_stream_(AdoptSqfs(sqfs_meta_writer_create(output.handle(), &compressor, 0))),
      directory_stream_(AdoptSqfs(
          sqfs_meta_writer_create(output.handle(), &compressor, SQFS_META_WRITER_KEEP_IN_MEMORY))),
      directories_(AdoptSqfs(
          sqfs_dir_writer_create(directory_stream_.get(), SQFS_DIR_WRITER_CREATE_EXPORT_TABLE))),
      ids_(AdoptSqfs(sqfs_id_table_create(0))) {
  output_.Check(sqfs_id_table_id_to_index(ids_.get(), 0, &root_id_), "the id table");
}

void InodeWriter::WriteTree(const TreeNode& root, sqfs_super_t& super) {
  super.inode_count = static_cast<uint32_t>(inodes_.nodes.size());
  super.inode_table_start = output_.size();
  WriteNode(root);
  output_.Check(sqfs_meta_writer_flush(inode_stream_.get()), "the inode table");
  output_.Check(sqfs_meta_writer_flush(directory_stream_.get()), "the directory table");
  super.directory_table_start = output_.size();
  output_.Check(sqfs_meta_write_write_to_file(directory_stream_.get()), "the directory table");
  root_number_ = NumberOf(root);
  super.root_inode_ref = references_[root_number_ - 1];
}

void InodeWriter::WriteTables(sqfs_super_t& super) {
  output_.Check(
      sqfs_dir_writer_write_export_table(directories_.get(), output_.handle(), &compressor_,
                                         root_number_, super.root_inode_ref, &super),
      "the export table");
  output_.Check(sqfs_id_table_write(ids_.get(), output_.handle(), &super, &compressor_),
                "the id table");
}

void InodeWriter::WriteNode(const TreeNode& node) {
  switch (node.type) {
    case FileType::kDirectory:
      return WriteDirectory(node);
    case FileType::kRegular:
      return WriteRegular(node);
    case FileType::kSymlink:
      return WriteSymlink(node);
    default:
      return WriteOther(node);
  }
}

void InodeWriter::WriteDirectory(const TreeNode& node) {
  // A directory's entries point to inodes, which must have their place before.
  for (const auto& child : node.children) {
    if (child->hard_link == nullptr) WriteNode(*child);
  }
  output_.Check(sqfs_dir_writer_begin(directories_.get(), 0), "a directory");
  for (const auto& child : node.children) {
    if (!IsPossibleName(child->name)) {
      throw Error(ErrorKind::kInput,
                  "expected a name of 1 to 255 bytes without '/', found one of " +
                      std::to_string(child->name.size()),
                  "Rename it.")
          .WithPath(child->RelativePath());
    }
    const TreeNode& target = Resolve(*child);
    const uint32_t number = NumberOf(target);
    output_.Check(sqfs_dir_writer_add_entry(
                      directories_.get(), child->name.c_str(), number, references_[number - 1],
                      static_cast<sqfs_u16>(TypeBits(target.type) | target.permissions)),
                  "a directory");
  }
  output_.Check(sqfs_dir_writer_end(directories_.get()), "a directory");
  if (sqfs_dir_writer_get_size(directories_.get()) > std::numeric_limits<uint32_t>::max() - 3) {
    throw Error(ErrorKind::kInput, "has more entries than SquashFS can list", "Split it.")
        .WithPath(node.RelativePath());
  }
  // The parent of the root is, by convention, the number after the last inode.
  const uint32_t parent = node.parent != nullptr ? NumberOf(*node.parent)
                                                 : static_cast<uint32_t>(inodes_.nodes.size()) + 1;
  const InodeHandle inode(sqfs_dir_writer_create_inode(directories_.get(), 0, kNoXattr, parent));
  if (!inode) throw std::bad_alloc();
  DropOversizedIndex(*inode);
  if (inode->base.type == SQFS_INODE_DIR) {
    inode->data.dir.nlink = LinksOf(node);
  } else {
    inode->data.dir_ext.nlink = LinksOf(node);
  }
  WriteInode(node, *inode);
}

void InodeWriter::WriteRegular(const TreeNode& node) {
  const FileLayout& layout = *inodes_.layouts[NumberOf(node) - 1];
  const uint32_t links = LinksOf(node);
  const InodeHandle inode = NewInode(0);
  if (links > 1 || layout.sparse_bytes > 0 || layout.size > std::numeric_limits<uint32_t>::max() ||
      layout.blocks_start > std::numeric_limits<uint32_t>::max()) {
    inode->base.type = SQFS_INODE_EXT_FILE;
    sqfs_inode_file_ext_t& file = inode->data.file_ext;
    file.blocks_start = layout.blocks_start;
    file.file_size = layout.size;
    file.sparse = layout.sparse_bytes;
    file.nlink = links;
    file.fragment_idx = layout.fragment_index;
    file.fragment_offset = layout.fragment_offset;
    file.xattr_idx = kNoXattr;
  } else {
    inode->base.type = SQFS_INODE_FILE;
    sqfs_inode_file_t& file = inode->data.file;
    file.blocks_start = static_cast<uint32_t>(layout.blocks_start);
    file.fragment_index = layout.fragment_index;
    file.fragment_offset = layout.fragment_offset;
    file.file_size = static_cast<uint32_t>(layout.size);
  }
  WriteInode(node, *inode);
  // Not as the inode's payload, which the library copies to the stack: a file of many gigabytes in
  // small blocks has a list longer than that. Its words are little-endian, as this machine's.
  output_.Check(sqfs_meta_writer_append(inode_stream_.get(), layout.block_sizes.data(),
                                        layout.block_sizes.size() * sizeof(layout.block_sizes[0])),
                "an inode");
}

void InodeWriter::WriteSymlink(const TreeNode& node) {
  const InodeHandle inode = NewInode(node.symlink_target.size());
  inode->base.type = SQFS_INODE_SLINK;
  inode->data.slink.nlink = 1;
  inode->data.slink.target_size = static_cast<uint32_t>(node.symlink_target.size());
  std::memcpy(inode->extra, node.symlink_target.data(), node.symlink_target.size());
  WriteInode(node, *inode);
}

void InodeWriter::WriteOther(const TreeNode& node) {
  const InodeHandle inode = NewInode(0);
  switch (node.type) {
    case FileType::kBlockDevice:
    case FileType::kCharacterDevice:
      inode->base.type = node.type == FileType::kBlockDevice ? SQFS_INODE_BDEV : SQFS_INODE_CDEV;
      inode->data.dev.nlink = 1;
      inode->data.dev.devno = node.device;
      break;
    default:
      inode->base.type = node.type == FileType::kFifo ? SQFS_INODE_FIFO : SQFS_INODE_SOCKET;
      inode->data.ipc.nlink = 1;
      break;
  }
  WriteInode(node, *inode);
}

void InodeWriter::WriteInode(const TreeNode& node, sqfs_inode_generic_t& inode) {
  const uint32_t number = NumberOf(node);
  inode.base.mode = static_cast<sqfs_u16>(TypeBits(node.type) | node.permissions);
  inode.base.uid_idx = root_id_;
  inode.base.gid_idx = root_id_;
  inode.base.mod_time = time_;
  inode.base.inode_number = number;
  sqfs_u64 block = 0;
  sqfs_u32 offset = 0;
  sqfs_meta_writer_get_position(inode_stream_.get(), &block, &offset);
  references_[number - 1] = (block << 16) | offset;
  output_.Check(sqfs_meta_writer_write_inode(inode_stream_.get(), &inode), "an inode");
}

}  // namespace firn
