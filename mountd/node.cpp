#include "mountd/node.h"

#include <algorithm>

namespace firn {
namespace {

constexpr uint64_t kStatBlock = 512;

}  // namespace

struct stat StatOf(const Inode& inode, NodeId node) {
  constexpr blksize_t kPreferredIo = 4096;
  struct stat status {};
  status.st_ino = node;
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

}  // namespace firn
