#include "builder/inspection.h"

#include <utility>

#include "builder/inspect/needs.h"
#include "builder/inspect/package_search.h"
#include "builder/inspect/sbom.h"

namespace firn {

Inspection Inspect(const std::string& tree, const Recipe& recipe, std::string known_needs,
                   unsigned jobs, const std::function<void()>& poll) {
  Inspection inspection;
  inspection.packages = FindPackages(tree, poll).ToJson();
  inspection.needs = std::move(known_needs);
  if (inspection.needs.empty()) {
    inspection.needs = FindNeeds(tree, recipe.prefix, jobs, poll).ToJson();
  }
  // Of the list as it stands in the image, where it is UTF-8 whatever the files hold.
  inspection.sbom =
      MakeSbom(PackageList::FromJson(inspection.packages), recipe.name, recipe.version);
  return inspection;
}

}  // namespace firn
