#include "mountd/slot_table.h"

#include <algorithm>
#include <charconv>

#include "mountd/equal_files.h"

namespace firn {
namespace {

// What `look` finds, or nothing where a file has no counterpart or the image's section digests
// cannot be read: for that no look-up in another image may fail.
template <typename Look>
auto WhereReadable(AttachedImage& image, const Look& look) -> decltype(look()) {
  try {
    return look();
  } catch (const Error& error) {
    image.StopSharing(error);
    return std::nullopt;
  }
}

}  // namespace

std::string SlotName(SlotNumber slot) { return std::to_string(ToInt(slot)); }

const SlotTable::Slot* SlotTable::Find(SlotNumber slot) const {
  const auto found = std::ranges::lower_bound(
      slots_, slot, {}, [](const Slot& candidate) { return candidate.image->slot(); });
  return found != slots_.end() && found->image->slot() == slot ? &*found : nullptr;
}

AttachedImage* SlotTable::FindShown(std::string_view name) const {
  uint32_t number = 0;
  std::from_chars(name.data(), name.data() + name.size(), number);
  if (SlotName(SlotNumber{number}) != name) return nullptr;
  const Slot* const slot = Find(SlotNumber{number});
  return slot != nullptr && slot->shown ? slot->image.get() : nullptr;
}

AttachedImage* SlotTable::FindImageOf(NodeId node) const {
  const bool is_root = node == kRootNode && layout_ == RootLayout::kImageIsRoot;
  const Slot* const slot = Find(is_root ? SlotNumber{1} : SlotOf(node));
  return slot == nullptr ? nullptr : slot->image.get();
}

SlotTable::Located SlotTable::Locate(NodeId node) const {
  AttachedImage* const image = FindImageOf(node);
  if (image == nullptr) throw StaleNodeError(node);
  return {*image, node == kRootNode ? image->image().root() : InodeOf(node)};
}

NodeId SlotTable::OwnNodeOf(const AttachedImage& image, InodeNumber inode) const {
  if (layout_ == RootLayout::kImageIsRoot && inode == image.image().root()) return kRootNode;
  return MakeNodeId(image.slot(), inode);
}

NodeId SlotTable::NodeOf(AttachedImage& image, const Inode& inode) const {
  std::optional<NodeId> shared;
  if (inode.IsRegular()) shared = FindShared(image, inode);
  return shared ? *shared : OwnNodeOf(image, inode.number);
}

// Nothing is read of section digests where no lower slot could have the file.
std::optional<NodeId> SlotTable::FindShared(AttachedImage& image, const Inode& file) const {
  if (!image.MayShare()) return std::nullopt;
  std::optional<EqualFile> looked_for;
  for (const Slot& slot : slots_) {
    AttachedImage& other = *slot.image;
    if (other.slot() >= image.slot()) break;
    if (!slot.shown || !image.MayShareWith(other)) continue;
    if (!looked_for) {
      looked_for = WhereReadable(
          image, [&] { return std::optional<EqualFile>(std::in_place, image.image(), file); });
      if (!looked_for) break;
    }
    const auto found = WhereReadable(other, [&] { return looked_for->FindIn(other.image()); });
    if (found) return OwnNodeOf(other, *found);
  }
  return std::nullopt;
}

struct stat SlotTable::StatAboveImages() const {
  struct stat status {};
  status.st_ino = kRootNode;
  // Who makes views or prefetches passes through without privileges; nobody else gets here.
  status.st_mode = S_IFDIR | 0511;
  status.st_nlink = static_cast<nlink_t>(
      2 + std::ranges::count_if(slots_, [](const Slot& slot) { return slot.shown; }));
  status.st_blksize = 4096;
  // The kernel, never asking to open a directory, keeps the listing until this differs.
  status.st_mtim = changed_;
  status.st_ctim = changed_;
  return status;
}

}  // namespace firn
