#include <cerrno>
#include <limits>
#include <string>
#include <vector>

#include "mountd/operations/operations.h"
#include "mountd/view.h"

namespace firn {
namespace {

// Offsets of a listing, as the kernel hands them back: 0 is the start, 1 behind ".", 2 behind
// "..", any other is 2 + the image's cookie.
constexpr off_t kBehindDot = 1;
constexpr off_t kBehindDotDot = 2;

// Fills a reply until the next entry does not fit.
class Listing {
 public:
  Listing(const Tree& tree, fuse_req_t request, size_t size, bool plus)
      : tree_(tree), request_(request), buffer_(size), plus_(plus) {}

  // "." and "..": of these readdirplus gives no attributes, and the kernel learns no node.
  bool AddDots(off_t from, NodeId self, NodeId parent) {
    return (from >= kBehindDot || AddDot(".", self, kBehindDot)) &&
           (from >= kBehindDotDot || AddDot("..", parent, kBehindDotDot));
  }

  // False where it does not fit.
  bool Add(std::string_view name, InodeNumber inode, FileType type, off_t behind) {
    if (plus_) {
      return AddPlus(std::string(name), EntryOf(tree_, tree_.image().GetInode(inode)), behind);
    }
    struct stat attributes {};
    attributes.st_ino = tree_.NodeOf(inode);
    attributes.st_mode = TypeBits(type);
    return AddPlain(std::string(name), attributes, behind);
  }

  void Reply() const { fuse_reply_buf(request_, buffer_.data(), used_); }

 private:
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
    return Take(fuse_add_direntry_plus(request_, Free(), room(), name.c_str(), &entry, behind));
  }

  bool Take(size_t needed) {
    if (needed > room()) return false;
    used_ += needed;
    return true;
  }

  char* Free() { return buffer_.data() + used_; }
  size_t room() const { return buffer_.size() - used_; }

  const Tree& tree_;
  fuse_req_t request_;
  std::vector<char> buffer_;
  size_t used_ = 0;
  const bool plus_;
};

void ListAboveImage(const Tree& tree, off_t offset, Listing& listing) {
  if (!listing.AddDots(offset, kRootNode, kRootNode) || offset > kBehindDotDot) return;
  listing.Add(kImageDirectory, tree.image().root(), FileType::kDirectory, kBehindDotDot + 1);
}

void ListInImage(const Tree& tree, const Inode& directory, off_t offset, Listing& listing) {
  const bool is_root = directory.number == tree.image().root();
  const NodeId self = tree.NodeOf(directory.number);
  const NodeId parent = is_root ? kRootNode : tree.NodeOf(directory.directory.parent);
  if (!listing.AddDots(offset, self, parent)) return;
  const uint64_t cookie =
      offset <= kBehindDotDot ? 0 : static_cast<uint64_t>(offset - kBehindDotDot);
  tree.image().ListDirectory(directory, cookie, [&](const DirectoryEntry& entry) {
    return listing.Add(entry.name, entry.inode, entry.type,
                       static_cast<off_t>(entry.next_cookie) + kBehindDotDot);
  });
}

void ReplyListing(const Tree& tree, fuse_req_t request, fuse_ino_t node, size_t size, off_t offset,
                  bool plus) {
  Listing listing(tree, request, size, plus);
  if (tree.IsAboveImage(node)) {
    ListAboveImage(tree, offset, listing);
  } else {
    const Inode directory = tree.GetInode(node);
    if (!directory.IsDirectory()) {
      fuse_reply_err(request, ENOTDIR);
      return;
    }
    ListInImage(tree, directory, offset, listing);
  }
  listing.Reply();
}

}  // namespace

void ReplyReadDirectory(const Tree& tree, fuse_req_t request, fuse_ino_t node, size_t size,
                        off_t offset, fuse_file_info*) {
  ReplyListing(tree, request, node, size, offset, /*plus=*/false);
}

void ReplyReadDirectoryPlus(const Tree& tree, fuse_req_t request, fuse_ino_t node, size_t size,
                            off_t offset, fuse_file_info*) {
  ReplyListing(tree, request, node, size, offset, /*plus=*/true);
}

}  // namespace firn
