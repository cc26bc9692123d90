#include "cli/build_surroundings.h"

#include <cerrno>
#include <cstdio>
#include <string>
#include <string_view>

#include "builder/interrupt.h"
#include "cli/image_checks.h"
#include "format/error.h"
#include "mountd/namespace.h"
#include "mountd/prefix_place.h"

namespace firn {
namespace {

std::string EnterPlace(const std::string& prefix) {
  CheckPrefix(prefix);
  EnterJobNamespace();
  return PrefixPlacer().Ensure(prefix);
}

[[noreturn]] void ThrowFailed(const Error& error, const CheckSettings& settings,
                              const std::string& path) {
  const std::string kept = settings.output + ".failed";
  if (!settings.keep_failed) {
    throw Error(error.kind(), error.message(),
                "No image was written. --keep-failed keeps it to look into it, --no-check leaves "
                "the checks out.")
        .WithPath(settings.output);
  }
  if (rename(path.c_str(), kept.c_str()) != 0) {
    throw SystemError(ErrorKind::kOutput, errno, "cannot keep the image that failed")
        .WithPath(kept);
  }
  throw Error(error.kind(), error.message(), "The image was kept as " + kept + ".")
      .WithPath(settings.output);
}

void CheckImage(const CheckSettings& settings, const std::string& path, const Recipe& recipe,
                BuildLog& log) {
  const ImageChecks checks{.default_checks = recipe.default_checks, .checks = recipe.checks};
  try {
    RunChecks(
        path, checks, [&](std::string_view line) { log.Write(line); }, ThrowIfInterrupted);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kCheck) ThrowFailed(error, settings, path);
    if (error.kind() == ErrorKind::kInterrupted) throw;
    throw Error(error.kind(), "cannot check the image: " + error.message(),
                error.remedy() + (error.remedy().empty() ? "" : "\n") +
                    "--no-check leaves the checks out.");
  }
}

}  // namespace

BuildSurroundings SurroundingsOfBuild(const CheckSettings& checks) {
  BuildSurroundings surroundings{.enter_place = EnterPlace, .check = {}, .show = {}};
  if (checks.run) {
    surroundings.check = [checks](const std::string& path, const Recipe& recipe, BuildLog& log) {
      CheckImage(checks, path, recipe, log);
    };
  }
  return surroundings;
}

}  // namespace firn
