#include <cerrno>

#include "mountd/operations/entry.h"
#include "mountd/operations/operations.h"

namespace firn {
namespace {

fuse_entry_param FindAboveImages(const SlotTable& slots, std::string_view name) {
  AttachedImage* const image = slots.FindShown(name);
  return image != nullptr ? EntryOfRoot(slots, *image) : MissingEntry(kNotAtAll);
}

fuse_entry_param FindInDirectory(const SlotTable& slots, AttachedImage& image,
                                 const Inode& directory, std::string_view name) {
  const std::optional<Inode> found = image.image().LookupInode(directory, name);
  return found ? EntryOf(slots, image, *found) : MissingEntry(kForever);
}

}  // namespace

void ReplyLookup(const SlotTable& slots, fuse_req_t request, fuse_ino_t parent, const char* name) {
  fuse_entry_param entry{};
  if (slots.IsAboveImages(parent)) {
    entry = FindAboveImages(slots, name);
  } else {
    const SlotTable::Located located = slots.Locate(parent);
    const Inode directory = located.GetInode();
    if (!directory.IsDirectory()) {
      fuse_reply_err(request, ENOTDIR);
      return;
    }
    entry = FindInDirectory(slots, located.image, directory, name);
  }
  GivenNodes given(slots);
  given.Add(entry.ino);
  given.CountAnd([&] { return fuse_reply_entry(request, &entry); });
}

}  // namespace firn
