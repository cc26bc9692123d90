#include <cerrno>
#include <string>

#include "mountd/operations/operations.h"

namespace firn {

void ReplyReadLink(const SlotTable& slots, fuse_req_t request, fuse_ino_t node) {
  const SlotTable::Located located = slots.Locate(node);
  const Inode inode = located.GetInode();
  if (!inode.IsSymlink()) {
    fuse_reply_err(request, EINVAL);
    return;
  }
  const Image& image = located.image.image();
  const std::string target = image.ReadLink(inode);
  // The reply is a C string: a NUL would silently shorten the target.
  if (target.empty() || target.find('\0') != std::string::npos) {
    throw Error(ErrorKind::kDamaged,
                "expected a symlink's target, found an empty one or a NUL in it")
        .WithPath(image.path());
  }
  fuse_reply_readlink(request, target.c_str());
}

}  // namespace firn
