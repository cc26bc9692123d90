#include "mountd/operations/operations.h"

namespace firn {

void ReplyGetAttributes(const Tree& tree, fuse_req_t request, fuse_ino_t node, fuse_file_info*) {
  const struct stat attributes =
      tree.IsAboveImage(node) ? tree.StatAboveImage() : tree.StatOf(tree.GetInode(node));
  fuse_reply_attr(request, &attributes, kForever);
}

}  // namespace firn
