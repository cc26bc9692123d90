#include "mountd/tree.h"

#include <linux/limits.h>

#include <algorithm>
#include <string>

namespace firn {
namespace {

constexpr NodeId kSlot = NodeId{1} << 32;
constexpr blksize_t kPreferredIo = 4096;
constexpr uint64_t kStatBlock = 512;

}  // namespace

NodeId Tree::NodeOf(InodeNumber inode) const {
  if (layout_ == RootLayout::kImageIsRoot && inode == image_.root()) return kRootNode;
  return kSlot | ToInt(inode);
}

InodeNumber Tree::InodeOf(NodeId node) const {
  if (node == kRootNode && layout_ == RootLayout::kImageIsRoot) return image_.root();
  if ((node & ~NodeId{UINT32_MAX}) != kSlot) {
    throw Error(ErrorKind::kInternal,
                "expected a node of this session, found node " + std::to_string(node));
  }
  return InodeNumber{static_cast<uint32_t>(node)};
}

struct stat Tree::StatOf(const Inode& inode) const {
  struct stat status {};
  status.st_ino = NodeOf(inode.number);
  status.st_mode = inode.mode;
  status.st_nlink = inode.link_count;
  status.st_uid = inode.uid;
  status.st_gid = inode.gid;
  status.st_rdev = inode.device;
  status.st_size = static_cast<off_t>(inode.size);
  status.st_blksize = kPreferredIo;
  if (inode.IsRegular()) {
    const uint64_t stored = inode.size - std::min(inode.size, inode.file.sparse_bytes);
    status.st_blocks = static_cast<blkcnt_t>((stored + kStatBlock - 1) / kStatBlock);
  }
  status.st_atim.tv_sec = inode.mtime;
  status.st_mtim.tv_sec = inode.mtime;
  status.st_ctim.tv_sec = inode.mtime;
  return status;
}

struct stat Tree::StatAboveImage() const {
  struct stat status {};
  status.st_ino = kRootNode;
  status.st_mode = S_IFDIR | 0755;
  status.st_nlink = 3;
  status.st_blksize = kPreferredIo;
  return status;
}

}  // namespace firn
