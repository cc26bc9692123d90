#include "builder/build.h"

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>

#include "builder/environment_build.h"
#include "builder/interrupt.h"
#include "cli/build_surroundings.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "format/digest.h"

namespace firn {
namespace {

struct BuildArguments {
  BuildOptions options;
  std::string name;
  std::string prefix;
  std::string block_size = "1M";
  bool no_compile = false;
  bool no_rules = false;
  std::string base;
  bool json = false;
  bool quiet = false;
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

double Ratio(const BuildSummary& summary) {
  return static_cast<double>(summary.image.manifest.contents.bytes) /
         static_cast<double>(summary.image.file_length);
}

void PrintSummaryJson(const BuildSummary& summary, bool with_profile) {
  const Manifest& manifest = summary.image.manifest;
  nlohmann::ordered_json json = {
      {"image", summary.output},
      {"id", FormatImageId(summary.image.id)},
      {"name", manifest.name},
      {"prefix", manifest.prefix},
      {"files", manifest.contents.files},
      {"directories", manifest.contents.directories},
      {"symlinks", manifest.contents.symlinks},
      {"hard_links", manifest.contents.hard_links},
      {"duplicate_files", summary.image.duplicate_files},
      {"skipped_special", summary.skipped_special},
      {"bytes_in", manifest.contents.bytes},
      {"bytes_out", summary.image.file_length},
      {"squashfs_bytes", summary.image.squashfs_length},
      {"ratio", Ratio(summary)},
      {"seconds", summary.seconds},
  };
  if (with_profile) {
    json["profile_files"] = summary.profile_files;
    json["profile_paths_missing"] = summary.profile_paths_missing;
  }
  if (manifest.python) {
    json["python"] = {{"version", manifest.python->version},
                      {"compiled", manifest.python->compiled},
                      {"not_compiled", manifest.python->not_compiled}};
  }
  // Names of files may hold any byte.
  PrintJson(json);
}

void PrintSummary(const BuildSummary& summary, bool with_profile) {
  const Manifest& manifest = summary.image.manifest;
  const Manifest::Contents& contents = manifest.contents;
  std::cout << summary.output << ": " << contents.files << " files, " << contents.directories
            << " directories, " << contents.symlinks << " symlinks\n";
  if (contents.hard_links + summary.image.duplicate_files > 0) {
    std::cout << "  stored once: " << contents.hard_links << " hard links, "
              << summary.image.duplicate_files << " files of equal content\n";
  }
  if (summary.skipped_special > 0) {
    std::cout << "  left out:    " << summary.skipped_special
              << " device nodes, sockets and fifos\n";
  }
  if (manifest.python) {
    std::cout << "  python:      " << manifest.python->version << ", " << manifest.python->compiled
              << " modules compiled\n";
    const auto& failed = manifest.python->not_compiled;
    if (!failed.empty()) {
      std::cout << "  no module:   " << failed.size()
                << " .py files that this Python cannot compile, " << failed.front()
                << (failed.size() > 1 ? " and others (firn inspect lists them)" : "") << '\n';
    }
  }
  if (with_profile) {
    std::cout << "  profile:     " << summary.profile_files << " files in front, "
              << summary.profile_paths_missing << " of its paths are not in the tree\n";
  }
  char numbers[64];
  std::snprintf(numbers, sizeof numbers, " (1 : %.2f) in %.1f s", Ratio(summary), summary.seconds);
  std::cout << "  size:        " << FormatBytes(contents.bytes) << " to "
            << FormatBytes(summary.image.file_length) << numbers << '\n'
            << "  prefix:      " << manifest.prefix << '\n'
            << "  id:          " << FormatImageId(summary.image.id) << '\n';
}

// An environment's directory, as a recipe.
Recipe RecipeOf(const BuildArguments& arguments) {
  const BuildOptions& options = arguments.options;
  const std::filesystem::path real = std::filesystem::canonical(options.directory);
  Recipe recipe;
  recipe.source.path = real.string();
  recipe.name = options.name.value_or(real.filename().string());
  recipe.prefix = options.prefix.value_or(real.string());
  recipe.rules.compile = options.compile;
  recipe.base = arguments.base;
  return recipe;
}

BuildSummary BuildImage(const BuildArguments& arguments,
                        const std::function<void(const BuildProgress&)>& progress) {
  const BuildOptions& options = arguments.options;
  const bool takes_all =
      arguments.base.empty() && (arguments.no_rules || !IsEnvironment(options.directory));
  if (takes_all) {
    const InterruptGuard interrupts;
    return Build(options, progress);
  }
  return BuildEnvironment(RecipeOf(arguments), options, SurroundingsOfBuild(), progress).image;
}

void RunBuild(BuildArguments& arguments) {
  BuildOptions& options = arguments.options;
  options.block_size = ParseBlockSize(arguments.block_size);
  options.compile = !arguments.no_compile;
  BuildSummary summary;
  {
    ProgressBar bar(!arguments.quiet && !arguments.json);
    summary = BuildImage(arguments, [&](const BuildProgress& progress) {
      bar.Update(StageName(progress.stage), progress.done, progress.total,
                 progress.stage == BuildStage::kWrite ? ProgressBar::Unit::kBytes
                                                      : ProgressBar::Unit::kCount);
    });
  }
  const bool with_profile = !options.profiles.empty();
  if (arguments.json) {
    PrintSummaryJson(summary, with_profile);
  } else if (!arguments.quiet) {
    PrintSummary(summary, with_profile);
  }
}

}  // namespace

void AddBuildCommand(CLI::App& app, int& exit_code) {
  const auto arguments = std::make_shared<BuildArguments>();
  BuildOptions& options = arguments->options;
  CLI::App* command = app.add_subcommand("build", "Compile a directory into an image");
  command->add_option("DIR", options.directory, "The directory of the environment")->required();
  command->add_option("-o,--output", options.output, "The image to write")->required();
  CLI::Option* name =
      command->add_option("--name", arguments->name, "Name of the environment [DIR's name]");
  CLI::Option* prefix = command->add_option("--prefix", arguments->prefix,
                                            "Path at which jobs are to see it [DIR's real path]");
  command->add_option("--block-size", arguments->block_size, "Power of two from 4K to 1M [1M]");
  command->add_option("--level", options.level, "zstd level, 1 to 22 [9]");
  command
      ->add_option("--profile", options.profiles,
                   "Put what it reads first in front (repeat it to merge several)")
      ->option_text("FILE")
      ->allow_extra_args(false);
  command->add_option("--jobs,-j", options.jobs, "Threads and processes [one a processor]")
      ->check(CLI::PositiveNumber);
  command->add_flag("--keep-modes", options.keep_modes,
                    "Keep permissions as they are, instead of 0644 and 0755");
  command->add_flag("--skip-special", options.skip_special,
                    "Leave out device nodes, sockets and fifos instead of refusing them");
  command
      ->add_option("--base", arguments->base,
                   "Make a layer over this image: what differs from it alone")
      ->option_text("IMAGE");
  command->add_flag("--no-rules", arguments->no_rules,
                    "Take an environment as it is: no venv is flattened, no path changed");
  command->add_flag("--no-compile", arguments->no_compile, "Make no .pyc of Python modules");
  command->add_flag("--force", options.force, "Replace the image if it exists");
  command->add_flag("--json", arguments->json, "Print the summary as JSON");
  command->add_flag("--quiet,-q", arguments->quiet, "Print errors only");
  command->footer(
      "Examples:\n"
      "  firn build /opt/envs/science -o science.firn\n"
      "  firn build ./venv -o venv.firn --prefix /opt/venv --name venv --jobs 8\n"
      "  firn build ./venv -o venv.firn --profile start.profile\n"
      "  SOURCE_DATE_EPOCH=1700000000 firn build DIR -o dir.firn --json\n"
      "\n"
      "The same tree gives the same bytes, whatever its owners, times and the number of jobs.");
  command->callback([arguments, name, prefix, &exit_code] {
    if (name->count() > 0) arguments->options.name = arguments->name;
    if (prefix->count() > 0) arguments->options.prefix = arguments->prefix;
    RunBuild(*arguments);
    exit_code = 0;
  });
}

}  // namespace firn
