#include "cli/build_surroundings.h"

#include <filesystem>
#include <string>
#include <vector>

#include "cli/image_layers.h"
#include "cli/job.h"
#include "mountd/job_view.h"
#include "mountd/namespace.h"
#include "mountd/prefix_place.h"

namespace firn {
namespace {

std::vector<std::string> FindBase(const Recipe& recipe) {
  return LayersOf(FindImage(recipe.base, recipe.source.path));
}

std::string EnterPlace(const std::string& prefix, const std::vector<std::string>& bases) {
  CheckPrefix(prefix);
  if (bases.empty()) {
    EnterJobNamespace();
    return PrefixPlacer().Ensure(prefix);
  }
  LaunchOptions launch;
  // The kernel stacks two overlays at most: that which merges bases, and that of the build.
  launch.view = ViewChoice::kDirect;
  EnterJobView(OpenLayers(bases.back(), prefix, /*allow_foreign=*/false), launch);
  return std::filesystem::canonical(prefix).string();
}

}  // namespace

BuildSurroundings SurroundingsOfBuild() {
  return {.find_base = FindBase, .enter_place = EnterPlace, .check = {}, .show = {}};
}

}  // namespace firn
