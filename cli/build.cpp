#include "builder/build.h"

#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>

#include "builder/environment_build.h"
#include "builder/interrupt.h"
#include "builder/source.h"
#include "builder/source_detection.h"
#include "cli/build_report.h"
#include "cli/build_surroundings.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/recipe_options.h"
#include "cli/text.h"
#include "format/error.h"

namespace firn {
namespace {

struct BuildArguments {
  RecipeArguments recipe;
  BuildOptions options;
  std::string block_size = "1M";
  bool no_rules = false;
  bool no_check = false;
  bool keep_failed = false;
  bool json = false;
  bool quiet = false;
  bool verbose = false;
};

const char* StageName(BuildStage stage) {
  switch (stage) {
    case BuildStage::kWalk:
      return "reading the tree";
    case BuildStage::kCompile:
      return "compiling Python";
    case BuildStage::kWrite:
      return "writing";
  }
  return "";
}

// A directory goes in as it is where that is wanted, or where it is no environment.
bool IsTakenAsItIs(const BuildArguments& arguments) {
  const std::string& source = arguments.recipe.source;
  if (LooksLikeRecipe(source)) {
    if (!arguments.no_rules) return false;
    throw Error(ErrorKind::kUsage, "--no-rules takes a directory as it is; this is a recipe",
                "Turn the rules off in the recipe: firn-recipe(5).")
        .WithPath(source);
  }
  if (!arguments.recipe.base.empty()) {
    if (!arguments.no_rules) return false;
    throw Error(ErrorKind::kUsage, "--no-rules takes a directory as it is, and --base does not");
  }
  if (DetectSource(source).kind == SourceKind::kDirectory) {
    return arguments.no_rules || !IsEnvironment(source);
  }
  if (!arguments.no_rules) return false;
  if (std::filesystem::is_directory(source)) return true;
  throw Error(ErrorKind::kUsage, "--no-rules takes a directory as it is; this is none")
      .WithPath(source);
}

BuildSummary BuildAsItIs(const BuildArguments& arguments,
                         const std::function<void(const BuildProgress&)>& progress) {
  const RecipeArguments& given = arguments.recipe;
  BuildOptions options = arguments.options;
  options.directory = given.source;
  options.name = given.name;
  options.prefix = given.prefix;
  options.manifest.version = given.version;
  options.compile = !given.no_compile;
  options.profiles = given.profiles;
  const InterruptGuard interrupts;
  return Build(options, progress);
}

EnvironmentSummary BuildByRecipe(const BuildArguments& arguments, ProgressBar& bar,
                                 const std::function<void(const BuildProgress&)>& progress) {
  const Recipe recipe = MakeRecipe(arguments.recipe);
  BuildOptions options = arguments.options;
  const auto& profiles = arguments.recipe.profiles;
  if (profiles.size() > 1) options.profiles.assign(profiles.begin() + 1, profiles.end());
  BuildSurroundings surroundings = SurroundingsOfBuild(
      {.run = !arguments.no_check, .keep_failed = arguments.keep_failed, .output = options.output});
  surroundings.show = [&](std::string_view line) {
    if (arguments.verbose) {
      std::cerr << Printable(line) << std::endl;
    } else {
      bar.Show(Printable(line));
    }
  };
  return BuildEnvironment(recipe, options, surroundings, progress);
}

void RunBuild(BuildArguments& arguments) {
  arguments.options.block_size = ParseBlockSize(arguments.block_size);
  EnvironmentSummary summary;
  {
    ProgressBar bar(!arguments.quiet && !arguments.json);
    const auto progress = [&](const BuildProgress& at) {
      bar.Update(
          StageName(at.stage), at.done, at.total,
          at.stage == BuildStage::kWrite ? ProgressBar::Unit::kBytes : ProgressBar::Unit::kCount);
    };
    if (IsTakenAsItIs(arguments)) {
      summary.image = BuildAsItIs(arguments, progress);
    } else {
      summary = BuildByRecipe(arguments, bar, progress);
    }
  }
  const bool with_profile = summary.image.profile_files + summary.image.profile_paths_missing > 0;
  if (arguments.json) {
    PrintBuildJson(summary, with_profile || !arguments.recipe.profiles.empty());
  } else if (!arguments.quiet) {
    PrintBuild(summary, with_profile || !arguments.recipe.profiles.empty());
  }
}

void AddWritingOptions(CLI::App& command, BuildArguments& arguments) {
  BuildOptions& options = arguments.options;
  command.add_option("-o,--output", options.output, "The image to write")->required();
  command.add_option("--block-size", arguments.block_size, "Power of two from 4K to 1M [1M]");
  command.add_option("--level", options.level, "zstd level, 1 to 22 [9]");
  command.add_option("--jobs,-j", options.jobs, "Threads and processes [one a processor]")
      ->check(CLI::PositiveNumber);
  command.add_flag("--keep-modes", options.keep_modes,
                   "Keep permissions as they are, instead of 0644 and 0755");
  command.add_flag("--skip-special", options.skip_special,
                   "Leave out device nodes, sockets and fifos instead of refusing them");
  command.add_flag("--no-rules", arguments.no_rules,
                   "Take a directory as it is: no venv is flattened, no path changed");
  command.add_flag("--no-check", arguments.no_check,
                   "Run no checks in the image before it gets its name");
  command.add_flag("--keep-failed", arguments.keep_failed,
                   "Keep an image that fails a check as IMAGE.failed");
  command.add_flag("--force", options.force, "Replace the image if it exists");
  command.add_flag("--json", arguments.json, "Print the summary as JSON");
  command.add_flag("--quiet,-q", arguments.quiet, "Print errors only");
  command.add_flag("--verbose,-v", arguments.verbose, "Print all that the source's tool prints");
}

}  // namespace

void AddBuildCommand(CLI::App& app, int& exit_code) {
  const auto arguments = std::make_shared<BuildArguments>();
  CLI::App* command = app.add_subcommand("build", "Make an image of a lock or an environment");
  AddRecipeOptions(*command, arguments->recipe);
  AddWritingOptions(*command, *arguments);
  command->footer(
      "Examples:\n"
      "  firn build recipe.yaml -o science.firn\n"
      "  firn build ./project -o project.firn --prefix /opt/project     a directory with uv.lock\n"
      "  firn build requirements.txt -o tools.firn --python 3.12\n"
      "  firn build /opt/envs/science -o science.firn --profile start.profile\n"
      "  SOURCE_DATE_EPOCH=1700000000 firn build DIR -o dir.firn --json\n"
      "\n"
      "What the source's own tool prints is kept in IMAGE.log. The same source gives the same\n"
      "bytes, whatever its owners, times and directories and the number of jobs.");
  command->callback([arguments, &exit_code] {
    RunBuild(*arguments);
    exit_code = 0;
  });
}

}  // namespace firn
