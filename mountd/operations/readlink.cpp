#include <cerrno>
#include <string>

#include "mountd/operations/operations.h"

namespace firn {

void ReplyReadLink(const Tree& tree, fuse_req_t request, fuse_ino_t node) {
  const Inode inode = tree.GetInode(node);
  if (!inode.IsSymlink()) {
    fuse_reply_err(request, EINVAL);
    return;
  }
  const std::string target = tree.image().ReadLink(inode);
  // The reply is a C string: a NUL would silently shorten the target.
  if (target.empty() || target.find('\0') != std::string::npos) {
    throw Error(ErrorKind::kDamaged,
                "expected a symlink's target, found an empty one or a NUL in it")
        .WithPath(tree.image().path());
  }
  fuse_reply_readlink(request, target.c_str());
}

}  // namespace firn
