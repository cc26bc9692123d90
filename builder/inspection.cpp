#include "builder/inspection.h"

#include "builder/inspect/package_search.h"

namespace firn {

Inspection Inspect(const std::string& tree, const Recipe&, unsigned,
                   const std::function<void()>& poll) {
  Inspection inspection;
  inspection.packages = FindPackages(tree, poll).ToJson();
  return inspection;
}

}  // namespace firn
