#include <cerrno>

#include "mountd/operations/operations.h"
#include "mountd/view.h"

namespace firn {
namespace {

fuse_entry_param Entry(NodeId node, const struct stat& attributes) {
  fuse_entry_param entry{};
  entry.ino = node;
  entry.attr = attributes;
  entry.attr_timeout = kForever;
  entry.entry_timeout = kForever;
  return entry;
}

// Node 0 with a timeout: the kernel remembers that there is nothing, as ENOENT would not let it.
fuse_entry_param Miss() { return Entry(0, {}); }

fuse_entry_param Find(const Tree& tree, const Inode& directory, std::string_view name) {
  const std::optional<InodeNumber> found = tree.image().Lookup(directory, name);
  return found ? EntryOf(tree, tree.image().GetInode(*found)) : Miss();
}

}  // namespace

fuse_entry_param EntryOf(const Tree& tree, const Inode& inode) {
  return Entry(tree.NodeOf(inode.number), tree.StatOf(inode));
}

void ReplyLookup(const Tree& tree, fuse_req_t request, fuse_ino_t parent, const char* name) {
  fuse_entry_param entry{};
  if (tree.IsAboveImage(parent)) {
    entry = name == kImageDirectory ? EntryOf(tree, tree.image().GetInode(tree.image().root()))
                                    : Miss();
  } else {
    const Inode directory = tree.GetInode(parent);
    if (!directory.IsDirectory()) {
      fuse_reply_err(request, ENOTDIR);
      return;
    }
    entry = Find(tree, directory, name);
  }
  fuse_reply_entry(request, &entry);
}

}  // namespace firn
