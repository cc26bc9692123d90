#include "cli/build_surroundings.h"

#include <string>

#include "mountd/namespace.h"
#include "mountd/prefix_place.h"

namespace firn {
namespace {

std::string EnterPlace(const std::string& prefix) {
  CheckPrefix(prefix);
  EnterJobNamespace();
  return PrefixPlacer().Ensure(prefix);
}

}  // namespace

BuildSurroundings SurroundingsOfBuild() {
  return {.enter_place = EnterPlace, .check = {}, .show = {}};
}

}  // namespace firn
