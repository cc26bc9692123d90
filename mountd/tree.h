#ifndef FIRN_MOUNTD_TREE_H_
#define FIRN_MOUNTD_TREE_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include "mountd/attached_image.h"
#include "mountd/slot_table.h"

namespace firn {

// The images that a session shows. They come and go while requests are served. Thread-safe.
//
// Attach() shows an image. Detach() takes its entry out of the FUSE root; the kernel's references
// are answered as before. Release() drops it, when IsInUse() says that there are none left.
class Tree {
 public:
  explicit Tree(RootLayout layout);
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  // Throws kInternal where the slot is taken, or 0, or with kImageIsRoot any but 1. Files are given
  // the ids of lower slots, so images that were there before (after a restart) are best attached
  // before the first request.
  void Attach(std::shared_ptr<AttachedImage> image);

  // The following throw kInternal for a slot that is empty.
  //
  // Once more is no error.
  void Detach(SlotNumber slot);
  // Is the image shown, may a request that is under way since before Detach() still give out one of
  // its ids, or has the kernel references to its ids?
  bool IsInUse(SlotNumber slot) const;
  // The kernel's references to node ids of the slot.
  uint64_t LookupCount(SlotNumber slot) const;
  // Empties the slot; requests for its nodes are answered with ESTALE from now on. The image is
  // closed when the last request that was under way has ended.
  void Release(SlotNumber slot);

  // For one request: what it must be answered from.
  std::shared_ptr<const SlotTable> Now() const;

 private:
  using Slots = std::vector<SlotTable::Slot>;

  // Makes `change` to a copy of the slots, which then takes the place of the table.
  template <typename Change>
  void Replace(const Change& change);
  std::shared_ptr<AttachedImage> Get(SlotNumber slot) const;

  const RootLayout layout_;
  std::mutex changing_;              // held by who changes the table
  mutable std::shared_mutex mutex_;  // guards what follows, for moments
  std::shared_ptr<const SlotTable> table_;
  // Those before it that requests may still hold.
  std::vector<std::weak_ptr<const SlotTable>> former_;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_TREE_H_
