#include "mountd/operations/operations.h"

namespace firn {

void ReplyGetAttributes(const SlotTable& slots, fuse_req_t request, fuse_ino_t node,
                        fuse_file_info*) {
  if (slots.IsAboveImages(node)) {
    const struct stat attributes = slots.StatAboveImages();
    fuse_reply_attr(request, &attributes, kNotAtAll);
    return;
  }
  const struct stat attributes = StatOf(slots.Locate(node).GetInode(), node);
  fuse_reply_attr(request, &attributes, kForever);
}

}  // namespace firn
