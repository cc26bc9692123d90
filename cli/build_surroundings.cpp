#include "cli/build_surroundings.h"

#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "mountd/namespace.h"
#include "mountd/prefix_place.h"

namespace firn {
namespace {

// The place that the environment is built at. What had to be made on the host for it goes again.
class BuildPlace {
 public:
  BuildPlace() = default;
  ~BuildPlace() {
    // A directory that others have filled meanwhile stays.
    for (const std::string& directory : made_) rmdir(directory.c_str());
  }
  BuildPlace(const BuildPlace&) = delete;
  BuildPlace& operator=(const BuildPlace&) = delete;

  std::string Enter(const std::string& prefix) {
    CheckPrefix(prefix);
    std::filesystem::path path(NormalPrefix(prefix));
    for (; !std::filesystem::exists(std::filesystem::symlink_status(path));
         path = path.parent_path()) {
      made_.push_back(path.string());
    }
    EnterJobNamespace();
    return PrefixPlacer().Ensure(prefix);
  }

 private:
  std::vector<std::string> made_;  // the deepest first
};

}  // namespace

BuildSurroundings SurroundingsOfBuild() {
  const auto place = std::make_shared<BuildPlace>();
  return {.enter_place = [place](const std::string& prefix) { return place->Enter(prefix); },
          .check = {},
          .show = {}};
}

}  // namespace firn
