#ifndef FIRN_BUILDER_IMAGE_TREE_H_
#define FIRN_BUILDER_IMAGE_TREE_H_

#include <functional>
#include <memory>
#include <unordered_map>

#include "format/image.h"
#include "format/image_writer.h"

namespace firn {

// The tree that an image shows.
struct ImageTree {
  std::unique_ptr<TreeNode> root;
  // The inodes of its regular files, hard links left out.
  std::unordered_map<const TreeNode*, InodeNumber> inodes;
};

// `poll` is called for every entry and may throw to give up. Throws kDamaged for what is no tree,
// kUnsupported for one that Firn's writer could not write again: owners other than root, times
// other than the manifest's.
ImageTree ReadImageTree(const Image& image, const std::function<void()>& poll);

}  // namespace firn

#endif  // FIRN_BUILDER_IMAGE_TREE_H_
