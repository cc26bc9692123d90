#ifndef FIRN_BUILDER_CONTENT_ORDER_H_
#define FIRN_BUILDER_CONTENT_ORDER_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "format/image_writer.h"
#include "format/profile.h"

namespace firn {

// What a profile means for one tree.
struct AppliedProfile {
  std::vector<const TreeNode*> front;  // the regular files that it reads, as first read
  std::string text;                    // what of it goes into the image; empty: nothing
  uint64_t paths_missing = 0;          // that it found and the tree has not
};

// Reads profiles and merges them. Throws as Profile::ReadFile does; kInput where they are too much
// together.
Profile ReadProfiles(std::span<const std::string> paths);

// Symlinks are not followed. Entries of paths that the tree lacks are left out, and those misses
// whose path it has. To be called when the tree's hard links are known.
AppliedProfile ApplyProfile(const Profile& profile, const TreeNode& root);

// The regular files in `front`, then all others so that like stands beside like: Python modules
// and their byte code in the order of their names, then the rest by kind.
ContentOrder OrderContents(const TreeNode& root, std::span<const TreeNode* const> front);

}  // namespace firn

#endif  // FIRN_BUILDER_CONTENT_ORDER_H_
