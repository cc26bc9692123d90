#ifndef FIRN_BUILDER_TREE_WALK_H_
#define FIRN_BUILDER_TREE_WALK_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "format/image_writer.h"
#include "format/source_file.h"

namespace firn {

struct WalkOptions {
  bool keep_modes = false;            // else 0644, and 0755 for directories and programs
  bool skip_special = false;          // leave out device nodes, sockets and fifos, else refuse them
  bool whiteouts = false;             // take overlayfs' whiteouts, which are device nodes too
  std::vector<SourceStamp> left_out;  // files not to take, by device and inode: the image itself
  std::function<void()> poll;         // called for every entry; may throw to give up
};

struct WalkedTree {
  std::unique_ptr<TreeNode> root;
  uint64_t skipped_special = 0;
};

// Reads a directory tree, entries in the order of their names' bytes, symlinks not followed.
// Contents are not read yet. `shown_name` names the directory in messages. Throws kInput that
// lists what cannot be taken: unreadable entries, and special files.
WalkedTree WalkTree(int directory, const std::string& shown_name, const WalkOptions& options);

// Sets TreeNode::hard_link for every name but the first of a file with several. Done last, when no
// node is added or removed any more.
void LinkHardLinks(TreeNode& root);

}  // namespace firn

#endif  // FIRN_BUILDER_TREE_WALK_H_
