#include <linux/limits.h>
#include <sys/statvfs.h>

#include "mountd/operations/operations.h"

namespace firn {
namespace {

uint64_t BlocksOf(const Image& image, uint64_t block_size) {
  return (image.squashfs_length() + block_size - 1) / block_size;
}

}  // namespace

void ReplyStatFs(const SlotTable& slots, fuse_req_t request, fuse_ino_t node) {
  struct statvfs status {};
  if (slots.IsAboveImages(node)) {
    status.f_bsize = 4096;
    for (const SlotTable::Slot& slot : slots.slots()) {
      if (!slot.shown) continue;
      status.f_blocks += BlocksOf(slot.image->image(), status.f_bsize);
      status.f_files += slot.image->image().inode_count();
    }
  } else if (const AttachedImage* const attached = slots.FindImageOf(node)) {
    const Image& image = attached->image();
    status.f_bsize = image.block_size();
    status.f_blocks = BlocksOf(image, status.f_bsize);
    status.f_files = image.inode_count();
  } else {  // it is not open again yet, and nobody has to wait for that to see his mounts
    status.f_bsize = 4096;
  }
  status.f_frsize = status.f_bsize;
  status.f_namemax = NAME_MAX;
  status.f_flag = ST_RDONLY | ST_NOSUID | ST_NODEV;
  fuse_reply_statfs(request, &status);
}

}  // namespace firn
