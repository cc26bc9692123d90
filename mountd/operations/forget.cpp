#include "mountd/operations/operations.h"

namespace firn {

// Node ids are computed, so nothing is held for them.
void ReplyForget(const Tree&, fuse_req_t request, fuse_ino_t, uint64_t) {
  fuse_reply_none(request);
}

void ReplyForgetMulti(const Tree&, fuse_req_t request, size_t, fuse_forget_data*) {
  fuse_reply_none(request);
}

}  // namespace firn
