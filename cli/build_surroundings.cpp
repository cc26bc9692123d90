#include "cli/build_surroundings.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "builder/interrupt.h"
#include "cli/image_checks.h"
#include "cli/image_layers.h"
#include "cli/job.h"
#include "format/error.h"
#include "mountd/job_view.h"
#include "mountd/namespace.h"
#include "mountd/prefix_place.h"

namespace firn {
namespace {

std::vector<std::string> FindBase(const Recipe& recipe) {
  return LayersOf(FindImage(recipe.base, recipe.source.path));
}

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

  // With the images shown there, if any: the lowest first, and those it is a layer over before it.
  std::string Enter(const std::string& prefix, const std::vector<std::string>& bases) {
    CheckPrefix(prefix);
    std::filesystem::path path(NormalPrefix(prefix));
    for (; !std::filesystem::exists(std::filesystem::symlink_status(path));
         path = path.parent_path()) {
      made_.push_back(path.string());
    }
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

 private:
  std::vector<std::string> made_;  // the deepest first
};

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

void CheckImage(const CheckSettings& settings, const BuiltImage& image, const Recipe& recipe,
                BuildLog& log) {
  ImageChecks checks{
      .default_checks = recipe.default_checks, .checks = recipe.checks, .changed = image.changed};
  // The image is checked where it is written, which need not be beside its base.
  for (const std::string& base : image.bases) {
    checks.base_directories.push_back(std::filesystem::absolute(base).parent_path().string());
  }
  try {
    RunChecks(
        image.path, checks, [&](std::string_view line) { log.Write(line); }, ThrowIfInterrupted);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kCheck) ThrowFailed(error, settings, image.path);
    if (error.kind() == ErrorKind::kInterrupted) throw;
    throw Error(error.kind(), "cannot check the image: " + error.message(),
                error.remedy() + (error.remedy().empty() ? "" : "\n") +
                    "--no-check leaves the checks out.");
  }
}

}  // namespace

BuildSurroundings SurroundingsOfBuild(const CheckSettings& checks) {
  const auto place = std::make_shared<BuildPlace>();
  BuildSurroundings surroundings{
      .find_base = FindBase,
      .enter_place =
          [place](const std::string& prefix, const std::vector<std::string>& bases) {
            return place->Enter(prefix, bases);
          },
      .check = {},
      .show = {}};
  if (checks.run) {
    surroundings.check = [checks](const BuiltImage& image, const Recipe& recipe, BuildLog& log) {
      CheckImage(checks, image, recipe, log);
    };
  }
  return surroundings;
}

}  // namespace firn
