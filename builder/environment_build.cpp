#include "builder/environment_build.h"

#include <fcntl.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "builder/activation.h"
#include "builder/archive.h"
#include "builder/build_log.h"
#include "builder/build_settings.h"
#include "builder/environment_kind.h"
#include "builder/inspect/image_sections.h"
#include "builder/inspection.h"
#include "builder/interrupt.h"
#include "builder/layer_changes.h"
#include "builder/merged_images.h"
#include "builder/recipe_section.h"
#include "builder/source_base.h"
#include "builder/staging.h"
#include "format/appendix.h"
#include "format/error.h"
#include "format/file.h"
#include "format/layout.h"

namespace firn {
namespace {

// The image must not lie in the tree that is changed, where it would go with it.
void CheckOutputIsOutside(const std::string& output, const std::string& place) {
  std::error_code error;
  const std::filesystem::path parent = std::filesystem::absolute(output).parent_path();
  const std::string real = std::filesystem::canonical(parent, error).string();
  if (error || (real + "/").compare(0, place.size() + 1, place + "/") != 0) return;
  throw Error(ErrorKind::kUsage, "the image would lie in the environment that it is made of",
              "Give another directory with -o.")
      .WithPath(output);
}

// Before an hour's work: is the output's place one that can be written to?
void CheckOutput(const BuildOptions& options) {
  const OutputFile tried(options.output, options.force);
}

// For those who wonder how to change an image. Names no place of the machine that builds.
std::string RebuildCommand(const Recipe& recipe, const RealisedSource& source) {
  const bool is_there = recipe.source.kind == SourceKind::kDirectory;
  return "firn build " + (is_there ? "DIRECTORY" : source.rebuild.path) + " -o " + recipe.name +
         ".firn";
}

// The base's, where the layer changes nothing that has needs; else empty.
std::string KnownNeeds(const Image& base, const Recipe& recipe, const std::string& changes) {
  if (base.manifest().prefix != recipe.prefix || !KeepsElfFiles(changes)) return {};
  const std::optional<Appendix> appendix = Appendix::Read(base.fd(), base.path());
  if (!appendix) return {};
  return FindTextSection(base.fd(), *appendix, kNeedsSection).value_or(std::string());
}

// What of the base only works at the prefix, and is still there.
void AddBoundOfBase(const Image& base, const std::string& place, const std::string& changes,
                    std::vector<std::string>& bound) {
  const auto is_there = [](const std::string& path) {
    return std::filesystem::exists(std::filesystem::symlink_status(path));
  };
  for (const std::string& path : base.manifest().bound) {
    if (is_there(place + "/" + path) && !is_there(changes + "/" + path)) bound.push_back(path);
  }
  std::ranges::sort(bound);
}

void AddSection(BuildOptions& options, std::string_view name, std::string content) {
  if (!content.empty()) options.sections.push_back({std::string(name), std::move(content)});
}

// A tree to change at `place`: over the directory `lower`, or empty where that is.
void Stage(const std::string& lower, const std::string& place, std::optional<Staging>& staging) {
  if (lower.empty()) {
    staging.emplace(place);
    return;
  }
  // Opened in the process' own mount namespace: the kernel takes no layer of another one.
  staging.emplace(OpenFile(lower, O_PATH | O_DIRECTORY, ErrorKind::kInput), lower, place);
}

// To be called before the rules remove its marks.
EnvironmentKind EnvironmentKindOf(const std::string& place, const Image* base) {
  const EnvironmentKind kind = FindEnvironmentKind(place);
  // A base that was a venv lost its marks.
  return base != nullptr && kind == EnvironmentKind::kPython ? base->manifest().kind : kind;
}

std::optional<ChangedPackages> WhatToCheck(const std::string& place, const std::string& changes,
                                           const std::set<std::string>& packages_of_base) {
  bool everything = false;
  ChangedPackages changed = FindChangedPackages(place, changes, packages_of_base, everything);
  return everything ? std::nullopt : std::optional(std::move(changed));
}

// What the image says of itself.
void DescribeImage(const Recipe& recipe, const EnvironmentSummary& summary, Inspection inspection,
                   BuildOptions& options) {
  options.name = recipe.name;
  options.prefix = recipe.prefix;
  options.compile = recipe.rules.compile;
  options.manifest.version = recipe.version;
  options.manifest.environment = JoinVariables(summary.activation.variables, recipe.environment);
  options.manifest.scratch = recipe.scratch;
  options.manifest.labels = recipe.labels;
  options.manifest.bound = summary.rules.bound;
  if (!recipe.profile.empty()) options.profiles.insert(options.profiles.begin(), recipe.profile);
  AddSection(options, kRecipeSection, RecipeSection(recipe, summary.source));
  if (!summary.source.locks.empty()) {
    AddSection(options, kLocksSection, PackLocks(summary.source.locks));
  }
  AddSection(options, kPackagesSection, std::move(inspection.packages));
  AddSection(options, kNeedsSection, std::move(inspection.needs));
  AddSection(options, kSbomSection, std::move(inspection.sbom));
}

}  // namespace

EnvironmentSummary BuildEnvironment(const Recipe& recipe, BuildOptions options,
                                    const BuildSurroundings& surroundings,
                                    const std::function<void(const BuildProgress&)>& progress) {
  const InterruptGuard interrupts;
  CheckOutput(options);
  const bool is_there = recipe.source.kind == SourceKind::kDirectory;
  BuildLog log(is_there ? std::string() : options.output + ".log", surroundings.show);
  std::vector<std::string> bases;
  if (!recipe.base.empty()) bases = surroundings.find_base(recipe);
  // What is installed over a base sees it; what is there already is only compared with it.
  const bool is_over_base = !bases.empty() && !is_there;
  const std::string place =
      surroundings.enter_place(recipe.prefix, is_over_base ? bases : std::vector<std::string>());
  CheckOutputIsOutside(options.output, place);
  std::optional<Staging> staging;
  Stage(is_there ? recipe.source.path : is_over_base ? place : std::string(), place, staging);
  if (!bases.empty()) {
    options.layer = {.bases = bases,
                     .changes = is_over_base ? staging->changes() : place,
                     .is_whole = !is_over_base};
  }

  std::optional<MergedImages> base;
  std::set<std::string> packages_of_base;
  const std::string changes = is_over_base ? staging->changes() : std::string();
  if (is_over_base) {
    base.emplace(bases);
    packages_of_base = DistributionNames(place);
  }
  EnvironmentSummary summary;
  if (!is_there) summary.source = Realise(recipe.source, place, log, ThrowIfInterrupted);
  if (is_over_base) DropStaleBytecode(place, changes);
  options.manifest.kind = EnvironmentKindOf(place, is_over_base ? &base->top() : nullptr);
  const unsigned jobs = ResolveJobs(options.jobs);
  summary.rules = ApplyRules({.path = place,
                              .original = is_there ? recipe.source.path : place,
                              .image = recipe.name,
                              .rebuild = RebuildCommand(recipe, summary.source),
                              // Excludes are of what the base has, too.
                              .changes = recipe.excludes.empty() ? changes : std::string(),
                              .recipe = recipe,
                              .build_places = summary.source.build_places,
                              .jobs = jobs,
                              .log = log,
                              .poll = ThrowIfInterrupted});
  if (options.manifest.kind == EnvironmentKind::kConda) {
    summary.activation = RecordActivation(place, recipe.prefix, log, ThrowIfInterrupted);
  }
  if (is_over_base && recipe.excludes.empty()) {
    AddBoundOfBase(base->top(), place, changes, summary.rules.bound);
  }
  std::string known_needs;
  BuiltImage built{.path = {}, .bases = bases};
  if (is_over_base) {
    known_needs = KnownNeeds(base->top(), recipe, changes);
    built.changed = WhatToCheck(place, changes, packages_of_base);
  }
  Inspection inspection = Inspect(place, recipe, std::move(known_needs), jobs, ThrowIfInterrupted);

  DescribeImage(recipe, summary, std::move(inspection), options);
  options.directory = place;
  if (surroundings.check) {
    options.check = [&](const std::string& path) {
      built.path = path;
      surroundings.check(built, recipe, log);
    };
  }
  summary.image = Build(options, progress);
  summary.log = log.path();
  return summary;
}

}  // namespace firn
