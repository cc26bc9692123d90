#ifndef FIRN_BUILDER_INSPECT_PACKAGES_SYSTEM_H_
#define FIRN_BUILDER_INSPECT_PACKAGES_SYSTEM_H_

#include <functional>
#include <string>

#include "builder/inspect/package.h"

namespace firn {

// Adds the R packages of the tree's libraries: their DESCRIPTION.
void AddRPackages(const std::string& tree, PackageList& list, const std::function<void()>& poll);

// Adds the installed Debian packages, where the tree is a root file system with dpkg's status.
void AddDebPackages(const std::string& tree, PackageList& list, const std::function<void()>& poll);

}  // namespace firn

#endif  // FIRN_BUILDER_INSPECT_PACKAGES_SYSTEM_H_
