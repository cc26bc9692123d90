#ifndef FIRN_BUILDER_EXPORT_IMAGE_WALK_H_
#define FIRN_BUILDER_EXPORT_IMAGE_WALK_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "format/image.h"

namespace firn {

struct ImageEntry {
  std::string path;  // below the root; empty for the root
  std::string name;  // the last part of it
  Inode inode;
  std::string linked;  // of a further name of a file: the path that came first; else empty
};

// Sees every entry of an image: directories before and after what is in them, in the image's order.
class ImageVisitor {
 public:
  virtual ~ImageVisitor() = default;
  virtual void Enter(const ImageEntry& directory) = 0;
  virtual void Take(const ImageEntry& entry) = 0;  // what is no directory
  virtual void Leave(const ImageEntry& directory) = 0;
};

// The names in a directory, in their order, with their inodes.
std::vector<std::pair<std::string, Inode>> EntriesOf(const Image& image, const Inode& directory);

// `poll` is called for each entry and may throw. Throws kDamaged for what is no tree, and
// kUnsupported for one that is too deep; whatever a hostile image holds, names are single parts of
// paths.
void WalkImage(const Image& image, ImageVisitor& visitor, const std::function<void()>& poll);

}  // namespace firn

#endif  // FIRN_BUILDER_EXPORT_IMAGE_WALK_H_
