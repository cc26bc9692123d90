#ifndef FIRN_BUILDER_LAYER_H_
#define FIRN_BUILDER_LAYER_H_

#include <functional>

#include "builder/merged_images.h"
#include "format/image_writer.h"

namespace firn {

// Makes the tree of a layer from the upper directory of an overlay over `base`: what is as in the
// base is left out, what an opaque directory hides gets whiteouts, so that no extended attribute is
// needed. `changes` is the upper directory, open, that `root` was read from with its whiteouts; or,
// with `is_whole`, a directory with all that is to be seen.
// `poll` is called for every entry and may throw to give up. Throws kInput for what cannot be read,
// kDamaged for the base.
void KeepDifferences(TreeNode& root, int changes, const MergedImages& base, bool is_whole,
                     const std::function<void()>& poll);

}  // namespace firn

#endif  // FIRN_BUILDER_LAYER_H_
