#include <cerrno>

#include "mountd/operations/operations.h"

// ENOSYS here means success for ever: the kernel never asks again, and keeps pages and listings
// from one open to the next (FUSE_CAP_NO_OPEN_SUPPORT, FUSE_CAP_NO_OPENDIR_SUPPORT). libfuse would
// answer plain success where these functions were absent, and be asked each time.
namespace firn {

void ReplyOpen(const SlotTable&, fuse_req_t request, fuse_ino_t, fuse_file_info*) {
  fuse_reply_err(request, ENOSYS);
}

void ReplyOpenDirectory(const SlotTable&, fuse_req_t request, fuse_ino_t, fuse_file_info*) {
  fuse_reply_err(request, ENOSYS);
}

}  // namespace firn
