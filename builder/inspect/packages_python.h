#ifndef FIRN_BUILDER_INSPECT_PACKAGES_PYTHON_H_
#define FIRN_BUILDER_INSPECT_PACKAGES_PYTHON_H_

#include <functional>
#include <string>

#include "builder/inspect/package.h"

namespace firn {

// Adds the Python distributions of the tree at `tree`: every *.dist-info, *.egg-info and *.egg of
// its directories site-packages and dist-packages, as importlib.metadata sees them.
void AddPythonPackages(const std::string& tree, PackageList& list,
                       const std::function<void()>& poll);

}  // namespace firn

#endif  // FIRN_BUILDER_INSPECT_PACKAGES_PYTHON_H_
