#ifndef FIRN_BUILDER_INSPECT_PACKAGE_SEARCH_H_
#define FIRN_BUILDER_INSPECT_PACKAGE_SEARCH_H_

#include <functional>
#include <string>

#include "builder/inspect/package.h"

namespace firn {

// Every package of the tree, by the records that installers leave; nothing of the tree is run.
// `poll` is called for each and may throw.
PackageList FindPackages(const std::string& tree, const std::function<void()>& poll);

}  // namespace firn

#endif  // FIRN_BUILDER_INSPECT_PACKAGE_SEARCH_H_
