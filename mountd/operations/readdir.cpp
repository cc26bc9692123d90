#include <cerrno>
#include <limits>
#include <string>
#include <vector>

#include "mountd/dispatcher.h"
#include "mountd/operations/entry.h"
#include "mountd/operations/operations.h"

namespace firn {
namespace {

// Offsets of a listing, as the kernel hands them back: 0 is the start, 1 behind ".", 2 behind
// "..", any other is 2 + the image's cookie, or above the images 2 + the number of a slot.
constexpr off_t kBehindDot = 1;
constexpr off_t kBehindDotDot = 2;

// Fills a reply until the next entry does not fit.
class Listing {
 public:
  Listing(const SlotTable& slots, fuse_req_t request, NodeId node, size_t size, bool plus)
      : slots_(slots),
        request_(request),
        failed_{plus ? "readdirplus" : "readdir", node, slots},
        buffer_(size),
        plus_(plus),
        given_(slots) {}

  // "." and "..": of these readdirplus gives no attributes, and the kernel learns no node.
  bool AddDots(off_t from, NodeId self, NodeId parent) {
    return (from >= kBehindDot || AddDot(".", self, kBehindDot)) &&
           (from >= kBehindDotDot || AddDot("..", parent, kBehindDotDot));
  }

  // False where it does not fit. An entry whose inode cannot be had is listed all the same, without
  // attributes: who looks it up gets the error, the others get theirs.
  bool Add(AttachedImage& image, const Inode& directory, const DirectoryEntry& found,
           off_t behind) {
    const std::string name(found.name);
    fuse_entry_param entry{};
    const bool has_inode = (plus_ || (found.type == FileType::kRegular && image.MayShare())) &&
                           dispatcher().Attempt(failed_, [&] {
                             entry =
                                 EntryOf(slots_, image, image.image().GetInode(directory, found));
                           });
    if (!has_inode) {
      entry.attr.st_ino = slots_.OwnNodeOf(image, found.inode);
      entry.attr.st_mode = TypeBits(found.type);
    }
    return plus_ ? AddPlus(name, entry, behind) : AddPlain(name, entry.attr, behind);
  }

  // An entry that the directory must not have.
  void LeaveOut(const Error& error) { dispatcher().Report(failed_, error); }

  // The root of an image, in the directory above.
  bool AddRoot(AttachedImage& image, off_t behind) {
    const fuse_entry_param entry = EntryOfRoot(slots_, image);
    const std::string name = SlotName(image.slot());
    return plus_ ? AddPlus(name, entry, behind) : AddPlain(name, entry.attr, behind);
  }

  void Reply() const {
    given_.CountAnd([this] { return fuse_reply_buf(request_, buffer_.data(), used_); });
  }

 private:
  Dispatcher& dispatcher() const { return *static_cast<Dispatcher*>(fuse_req_userdata(request_)); }

  bool AddDot(const char* name, NodeId node, off_t behind) {
    fuse_entry_param entry{};
    entry.attr.st_ino = node;
    entry.attr.st_mode = S_IFDIR;
    return plus_ ? AddPlus(name, entry, behind) : AddPlain(name, entry.attr, behind);
  }

  bool AddPlain(const std::string& name, const struct stat& attributes, off_t behind) {
    return Take(fuse_add_direntry(request_, Free(), room(), name.c_str(), &attributes, behind));
  }

  bool AddPlus(const std::string& name, const fuse_entry_param& entry, off_t behind) {
    if (!Take(fuse_add_direntry_plus(request_, Free(), room(), name.c_str(), &entry, behind))) {
      return false;
    }
    given_.Add(entry.ino);
    return true;
  }

  bool Take(size_t needed) {
    if (needed > room()) return false;
    used_ += needed;
    return true;
  }

  char* Free() { return buffer_.data() + used_; }
  size_t room() const { return buffer_.size() - used_; }

  const SlotTable& slots_;
  fuse_req_t request_;
  const Dispatcher::Failed failed_;  // for what fails
  std::vector<char> buffer_;
  size_t used_ = 0;
  const bool plus_;
  GivenNodes given_;
};

void ListAboveImages(const SlotTable& slots, off_t offset, Listing& listing) {
  if (!listing.AddDots(offset, kRootNode, kRootNode)) return;
  for (const SlotTable::Slot& slot : slots.slots()) {
    const off_t behind = kBehindDotDot + static_cast<off_t>(ToInt(slot.image->slot()));
    if (slot.shown && behind > offset && !listing.AddRoot(*slot.image, behind)) return;
  }
}

void ListInImage(const SlotTable& slots, AttachedImage& image, const Inode& directory, off_t offset,
                 Listing& listing) {
  const bool is_root = directory.number == image.image().root();
  const NodeId self = slots.OwnNodeOf(image, directory.number);
  const NodeId parent = is_root ? kRootNode : slots.OwnNodeOf(image, directory.directory.parent);
  if (!listing.AddDots(offset, self, parent)) return;
  const uint64_t cookie =
      offset <= kBehindDotDot ? 0 : static_cast<uint64_t>(offset - kBehindDotDot);
  image.image().ListDirectory(
      directory, cookie,
      [&](const DirectoryEntry& entry) {
        return listing.Add(image, directory, entry,
                           static_cast<off_t>(entry.next_cookie) + kBehindDotDot);
      },
      [&](const DirectoryEntry&, const Error& error) { listing.LeaveOut(error); });
}

void ReplyListing(const SlotTable& slots, fuse_req_t request, fuse_ino_t node, size_t size,
                  off_t offset, bool plus) {
  Listing listing(slots, request, node, size, plus);
  if (slots.IsAboveImages(node)) {
    ListAboveImages(slots, offset, listing);
  } else {
    const SlotTable::Located located = slots.Locate(node);
    const Inode directory = located.GetInode();
    if (!directory.IsDirectory()) {
      fuse_reply_err(request, ENOTDIR);
      return;
    }
    ListInImage(slots, located.image, directory, offset, listing);
  }
  listing.Reply();
}

}  // namespace

void ReplyReadDirectory(const SlotTable& slots, fuse_req_t request, fuse_ino_t node, size_t size,
                        off_t offset, fuse_file_info*) {
  ReplyListing(slots, request, node, size, offset, /*plus=*/false);
}

void ReplyReadDirectoryPlus(const SlotTable& slots, fuse_req_t request, fuse_ino_t node,
                            size_t size, off_t offset, fuse_file_info*) {
  ReplyListing(slots, request, node, size, offset, /*plus=*/true);
}

}  // namespace firn
