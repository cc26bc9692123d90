#ifndef FIRN_CLI_IMAGE_CHECKS_H_
#define FIRN_CLI_IMAGE_CHECKS_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "builder/layer_changes.h"
#include "builder/recipe.h"

namespace firn {

struct ImageChecks {
  bool default_checks = true;  // pip check and the import of every module, where there is a Python
  std::vector<RecipeCheck> checks;
  std::vector<std::string> base_directories = {};  // where bases are looked for, too
  // Of the modules, those of these packages and of what depends on one that they replace are
  // enough; nullopt: all.
  std::optional<ChangedPackages> changed = {};
};

// Runs checks in the image as `firn run --no-daemon` would run them, one after the other, in
// surroundings that do not depend on who checks: only the loopback network, no variables but a few
// and the image's, an empty HOME and TMPDIR of their own, processes that end with the check. The
// image lies at its prefix whatever is mounted there in the caller's mount namespace.
//
// `show` gets what they print, by lines, and what they are; `poll` is called about ten times a
// second and may throw to give up, which ends them. Every check is run. Throws kCheck for those
// that failed, with the end of their output, and kSystem and the like where none can be run.
// Returns how many there were.
//
// Needs a process with one thread.
unsigned RunChecks(const std::string& image, const ImageChecks& checks,
                   const std::function<void(std::string_view line)>& show,
                   const std::function<void()>& poll);

}  // namespace firn

#endif  // FIRN_CLI_IMAGE_CHECKS_H_
