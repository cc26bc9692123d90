#ifndef FIRN_MOUNTD_OPERATIONS_ENTRY_H_
#define FIRN_MOUNTD_OPERATIONS_ENTRY_H_

#include <vector>

#include "mountd/fuse.h"
#include "mountd/slot_table.h"

namespace firn {

// The entry by which the kernel comes to know an inode of the image.
fuse_entry_param EntryOf(const SlotTable& slots, AttachedImage& image, const Inode& inode);
// The same for the image's root, as an entry of the FUSE root above the images.
fuse_entry_param EntryOfRoot(const SlotTable& slots, AttachedImage& image);
// Node 0 with a timeout: the kernel remembers that there is nothing, as ENOENT would not let it.
fuse_entry_param MissingEntry(double timeout);

// The node ids that one reply gives to the kernel, each of which is a reference that it will give
// back with FORGET. Not thread-safe.
class GivenNodes {
 public:
  explicit GivenNodes(const SlotTable& slots) : slots_(slots) {}

  // 0 is none.
  void Add(NodeId node);

  // Counts them, then calls `reply`, which answers 0 where it succeeds; otherwise the kernel has
  // not got them, and they are taken back. (Counted before, as the kernel may forget at once.)
  template <typename Reply>
  void CountAnd(const Reply& reply) const {
    for (const NodeId node : nodes_) slots_.FindImageOf(node)->AddLookups(1);
    if (reply() == 0) return;
    for (const NodeId node : nodes_) slots_.FindImageOf(node)->SubtractLookups(1);
  }

 private:
  const SlotTable& slots_;
  std::vector<NodeId> nodes_;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_OPERATIONS_ENTRY_H_
