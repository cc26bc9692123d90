#include <span>

#include "mountd/operations/operations.h"

namespace firn {
namespace {

// Nothing is held for a node id, which is computed; but a slot is kept until its ids are forgotten.
void Forget(const SlotTable& slots, NodeId node, uint64_t lookups) {
  if (AttachedImage* const image = slots.FindImageOf(node)) image->SubtractLookups(lookups);
}

}  // namespace

void ReplyForget(const SlotTable& slots, fuse_req_t request, fuse_ino_t node, uint64_t lookups) {
  Forget(slots, node, lookups);
  fuse_reply_none(request);
}

void ReplyForgetMulti(const SlotTable& slots, fuse_req_t request, size_t count,
                      fuse_forget_data* nodes) {
  for (const fuse_forget_data& node : std::span(nodes, count)) {
    Forget(slots, node.ino, node.nlookup);
  }
  fuse_reply_none(request);
}

}  // namespace firn
