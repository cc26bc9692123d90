#ifndef FIRN_BUILDER_BYTECODE_H_
#define FIRN_BUILDER_BYTECODE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "builder/temporary_directory.h"
#include "format/image_writer.h"
#include "format/manifest.h"

namespace firn {

struct BytecodeOptions {
  std::string directory;  // absolute real path of the tree
  std::string prefix;     // where the tree will be seen: the paths that the code carries
  std::string python;     // the tree's, below its root; empty: it is looked for in the nodes
  unsigned jobs = 1;
  // Called about ten times a second, and for every module; may throw to give up. Modules done, and
  // how many there are.
  std::function<void(uint64_t done, uint64_t total)> progress;
};

// If the tree is a Python prefix: compiles every .py in it with its own Python, adds the
// unchecked-hash .pyc to the tree, with contents in `directory`, and drops from __pycache__ what
// timestamps would make stale. The result is the same whatever `jobs` is. nullopt if the tree has
// no Python. Throws kInput if its Python cannot do that.
std::optional<Manifest::Python> CompileModules(TreeNode& root, const BytecodeOptions& options,
                                               const TemporaryDirectory& directory);

}  // namespace firn

#endif  // FIRN_BUILDER_BYTECODE_H_
