#ifndef FIRN_MOUNTD_SLOT_TABLE_H_
#define FIRN_MOUNTD_SLOT_TABLE_H_

#include <sys/stat.h>
#include <time.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/inode.h"
#include "mountd/attached_image.h"
#include "mountd/node.h"

namespace firn {

// What the FUSE root is.
enum class RootLayout {
  kImageIsRoot,  // the root of the one image, which is in slot 1
  kSlots         // a directory with an entry for each slot, named by its number
};

// The name of a slot's directory in the FUSE root (kSlots): its number in decimal.
std::string SlotName(SlotNumber slot);

// The images of a session at one moment, and which node is which inode. A request is answered from
// one table, which it holds to its end: what is in it stays open that long. Immutable.
//
// Which node id a file has may change when an image is attached, detached or proved: an equal file
// of a lower slot comes or goes. No id changes its meaning by that, since an id names one inode of
// one image and no slot number is used twice: whatever the kernel remembers under an id stays true,
// and it may know a file by an old id and a new one at once, with the same bytes. Nor do two files
// of one image ever have the same id, be it at different times: the counterpart of a file is a
// function of the two images alone, and no two files have the same one (see EqualFile).
class SlotTable {
 public:
  struct Slot {
    std::shared_ptr<AttachedImage> image;
    bool shown = true;  // has an entry in the FUSE root, and its ids are given to other images
  };

  // `slots` by ascending number; `changed` is the time of the FUSE root.
  SlotTable(RootLayout layout, std::vector<Slot> slots, timespec changed)
      : layout_(layout), slots_(std::move(slots)), changed_(changed) {}

  const std::vector<Slot>& slots() const { return slots_; }

  // Is this the FUSE root above the images' roots, which has no inode?
  bool IsAboveImages(NodeId node) const {
    return node == kRootNode && layout_ == RootLayout::kSlots;
  }
  struct stat StatAboveImages() const;

  // Shown or not; null where the slot is empty.
  const Slot* Find(SlotNumber slot) const;
  // The image whose directory in the FUSE root has that name; null where there is none.
  AttachedImage* FindShown(std::string_view name) const;

  // The image lives as long as the table does.
  struct Located {
    AttachedImage& image;
    InodeNumber number;

    Inode GetInode() const { return image.image().GetInode(number); }
  };
  // Any node but that above the images. Throws StaleNodeError.
  Located Locate(NodeId node) const;
  // The image of a node, where there is one: for what must not fail.
  AttachedImage* FindImageOf(NodeId node) const;

  // The id by which the kernel is to know an inode. Of a regular file that of its counterpart in
  // the lowest shown slot that has one, where they are images that MayShareWith() each other.
  NodeId NodeOf(AttachedImage& image, const Inode& inode) const;
  // Of an inode that is known to be no regular file.
  NodeId OwnNodeOf(const AttachedImage& image, InodeNumber inode) const;

 private:
  std::optional<NodeId> FindShared(AttachedImage& image, const Inode& file) const;

  const RootLayout layout_;
  const std::vector<Slot> slots_;
  const timespec changed_;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_SLOT_TABLE_H_
