#ifndef FIRN_BUILDER_ENVIRONMENT_BUILD_H_
#define FIRN_BUILDER_ENVIRONMENT_BUILD_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "builder/activation.h"
#include "builder/build.h"
#include "builder/layer_changes.h"
#include "builder/recipe.h"
#include "builder/rules.h"
#include "builder/source.h"

namespace firn {

// An image that has not got its name yet.
struct BuiltImage {
  std::string path;                // of its file
  std::vector<std::string> bases;  // that it is a layer over, if any
  // Where its base works, what need be looked at; nullopt: everything.
  std::optional<ChangedPackages> changed = {};
};

// What the builder needs done by those who know of mounts and jobs.
struct BuildSurroundings {
  // The paths of the image that is meant by Recipe::base, last, and of those below it. Throws
  // kInput where one is not found.
  std::function<std::vector<std::string>(const Recipe& recipe)> find_base;
  // Sees to it that the directory exists, in a mount namespace that is the process' own from then
  // on, shows the images there, if any, and returns it without symlinks. Called once, before
  // anything is made.
  std::function<std::string(const std::string& prefix, const std::vector<std::string>& bases)>
      enter_place;
  // Runs the recipe's checks in the image; throws where one fails.
  std::function<void(const BuiltImage& image, const Recipe& recipe, BuildLog& log)> check;
  std::function<void(std::string_view line)> show;  // a line that a tool printed
};

struct EnvironmentSummary {
  BuildSummary image;
  RulesReport rules;
  RealisedSource source;
  std::string log;  // path of the log of the build; empty where there is none
  Activation activation;
};

// Makes the image of a recipe: realises its source at the final prefix, applies the rules,
// inspects, writes and checks. `options` say how it is written; what the recipe says is filled in
// here. Needs a process with one thread. Throws as Build(), leaving nothing behind but the log of
// the build.
EnvironmentSummary BuildEnvironment(const Recipe& recipe, BuildOptions options,
                                    const BuildSurroundings& surroundings,
                                    const std::function<void(const BuildProgress&)>& progress);

}  // namespace firn

#endif  // FIRN_BUILDER_ENVIRONMENT_BUILD_H_
