#include <linux/limits.h>
#include <sys/statvfs.h>

#include "mountd/operations/operations.h"

namespace firn {

void ReplyStatFs(const Tree& tree, fuse_req_t request, fuse_ino_t) {
  const uint64_t block_size = tree.image().block_size();
  struct statvfs status {};
  status.f_bsize = block_size;
  status.f_frsize = block_size;
  status.f_blocks = (tree.image().squashfs_length() + block_size - 1) / block_size;
  status.f_files = tree.image().inode_count();
  status.f_namemax = NAME_MAX;
  status.f_flag = ST_RDONLY | ST_NOSUID | ST_NODEV;
  fuse_reply_statfs(request, &status);
}

}  // namespace firn
