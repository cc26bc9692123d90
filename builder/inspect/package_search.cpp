#include "builder/inspect/package_search.h"

#include "builder/inspect/packages_conda.h"
#include "builder/inspect/packages_python.h"
#include "builder/inspect/packages_system.h"

namespace firn {

PackageList FindPackages(const std::string& tree, const std::function<void()>& poll) {
  PackageList list;
  AddPythonPackages(tree, list, poll);
  AddCondaPackages(tree, list, poll);
  AddRPackages(tree, list, poll);
  AddDebPackages(tree, list, poll);
  list.Sort();
  return list;
}

}  // namespace firn
