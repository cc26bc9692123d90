#ifndef FIRN_BUILDER_LAYER_CHANGES_H_
#define FIRN_BUILDER_LAYER_CHANGES_H_

#include <set>
#include <string>
#include <vector>

namespace firn {

// What is new in a layer, told by the upper directory `changes` of the overlay over its base, so
// that a build looks at that and not at all of the base again.

// The Python packages of an environment that may not work as they did in the base: names as
// NormalPackageName() has them.
struct ChangedPackages {
  std::vector<std::string> installed;  // that the layer adds, or has instead of the base's
  std::vector<std::string> replaced;   // that the base has: in another version or build, or removed
  bool operator==(const ChangedPackages&) const = default;
};

// Names of the distributions in the site-packages and dist-packages of a tree.
std::set<std::string> DistributionNames(const std::string& tree);

// `before`: of the base alone. `everything` is set where other packages may be concerned too: by
// modules that Python imports at its start, or by conda packages that the base has in another
// build.
ChangedPackages FindChangedPackages(const std::string& tree, const std::string& changes,
                                    const std::set<std::string>& before, bool& everything);

// Whether programs and libraries are those of the base: none was added, replaced or removed.
bool KeepsElfFiles(const std::string& changes);

}  // namespace firn

#endif  // FIRN_BUILDER_LAYER_CHANGES_H_
