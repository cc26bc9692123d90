#ifndef FIRN_BUILDER_CONDA_BASE_H_
#define FIRN_BUILDER_CONDA_BASE_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace firn {

// What a list of conda packages comes to over a base that has some of them.
struct CondaAddition {
  std::string list;  // of those that the base has not, as of conda list --explicit
  size_t added = 0;  // packages of the list
  size_t kept = 0;   // packages that the base has, in the build that the list names
  std::vector<std::string> replaced;  // files in conda-meta, of other builds that the base has
};

// `tree` shows the base, `list` is an explicit one with hashes, `path` names it in messages. Throws
// kInput where it cannot go over this base: that has no conda packages, or another Python, for
// which its packages would have to be installed again.
CondaAddition CompareWithBase(const std::string& tree, const std::string& list,
                              const std::string& path);

// Takes packages out of the tree, of which these are the files in conda-meta: as conda does, but
// for scripts that packages want run. Files that another package names too stay. Touches nothing
// outside of the tree, whatever the files say. Throws kInternal where something cannot be removed.
void RemoveCondaPackages(const std::string& tree, const std::vector<std::string>& records,
                         const std::function<void()>& poll);

}  // namespace firn

#endif  // FIRN_BUILDER_CONDA_BASE_H_
