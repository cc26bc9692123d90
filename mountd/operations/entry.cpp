#include "mountd/operations/entry.h"

#include "mountd/operations/operations.h"

namespace firn {

fuse_entry_param EntryOf(const SlotTable& slots, AttachedImage& image, const Inode& inode) {
  fuse_entry_param entry{};
  entry.ino = slots.NodeOf(image, inode);
  entry.attr = StatOf(inode, entry.ino);
  entry.attr_timeout = kForever;
  entry.entry_timeout = kForever;
  return entry;
}

fuse_entry_param EntryOfRoot(const SlotTable& slots, AttachedImage& image) {
  fuse_entry_param entry = EntryOf(slots, image, image.image().GetInode(image.image().root()));
  entry.entry_timeout = kNotAtAll;
  return entry;
}

fuse_entry_param MissingEntry(double timeout) {
  fuse_entry_param entry{};
  entry.entry_timeout = timeout;
  return entry;
}

void GivenNodes::Add(NodeId node) {
  if (node != 0) nodes_.push_back(node);
}

}  // namespace firn
