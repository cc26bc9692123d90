#ifndef FIRN_BUILDER_INSPECT_PACKAGES_CONDA_H_
#define FIRN_BUILDER_INSPECT_PACKAGES_CONDA_H_

#include <functional>
#include <string>

#include "builder/inspect/package.h"

namespace firn {

// Adds what conda-meta/ says, and marks the Python packages of the list that conda packages hold.
void AddCondaPackages(const std::string& tree, PackageList& list,
                      const std::function<void()>& poll);

}  // namespace firn

#endif  // FIRN_BUILDER_INSPECT_PACKAGES_CONDA_H_
