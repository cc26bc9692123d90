#include "builder/optimize.h"

#include <cstdio>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/commands.h"
#include "cli/image_file.h"
#include "cli/new_image_options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "format/digest.h"

namespace firn {
namespace {

constexpr char kOptimizeFooter[] =
    "Blocks are copied as they are stored; compressed anew are only those whose small files part.\n"
    "The new image has an id of its own: sign it anew.\n"
    "\n"
    "Example:\n"
    "  firn optimize science.firn --profile start.profile -o science-fast.firn";

struct OptimizeArguments {
  OptimizeOptions options;
  bool json = false;
  bool quiet = false;
};

void PrintOptimizeJson(const OptimizeSummary& summary, const OptimizeOptions& options) {
  PrintJson({
      {"image", options.output},
      {"id", FormatImageId(summary.id)},
      {"source", options.image},
      {"source_id", FormatImageId(summary.source_id)},
      {"bytes_in", summary.bytes_in},
      {"bytes_out", summary.bytes_out},
      {"blocks_copied", summary.blocks_copied},
      {"blocks_compressed", summary.blocks_compressed},
      {"profile_files", summary.profile_files},
      {"profile_paths_missing", summary.profile_paths_missing},
      {"seconds", summary.seconds},
  });
}

void PrintOptimizeText(const OptimizeSummary& summary, const OptimizeOptions& options) {
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, " in %.1f s", summary.seconds);
  std::cout << options.output << ": " << Grouped(summary.profile_files) << " files in front, "
            << Grouped(summary.profile_paths_missing) << " paths of the profile are not in it\n"
            << "  blocks:      " << Grouped(summary.blocks_copied) << " copied, "
            << Grouped(summary.blocks_compressed) << " compressed anew\n"
            << "  size:        " << FormatBytes(summary.bytes_in) << " to "
            << FormatBytes(summary.bytes_out) << seconds << '\n'
            << "  id:          " << FormatImageId(summary.id) << '\n';
}

void RunOptimize(const OptimizeArguments& arguments) {
  OptimizeSummary summary;
  {
    ProgressBar bar(!arguments.quiet && !arguments.json);
    summary = Optimize(OpenImageFile(arguments.options.image), arguments.options,
                       [&](uint64_t done, uint64_t total) {
                         bar.Update("writing", done, total, ProgressBar::Unit::kBytes);
                       });
  }
  if (arguments.json) {
    PrintOptimizeJson(summary, arguments.options);
  } else if (!arguments.quiet) {
    PrintOptimizeText(summary, arguments.options);
  }
}

}  // namespace

void AddOptimizeCommand(CLI::App& app, int& exit_code) {
  const auto arguments = std::make_shared<OptimizeArguments>();
  OptimizeOptions& options = arguments->options;
  CLI::App* command =
      app.add_subcommand("optimize", "Write an image again in the order of a profile");
  command->footer(kOptimizeFooter);
  command->add_option("IMAGE", options.image, "The image file")->required();
  command
      ->add_option("--profile", options.profiles,
                   "Put what it reads first in front (repeat it to merge several)")
      ->option_text("FILE")
      ->allow_extra_args(false)
      ->required();
  AddNewImageOptions(*command, options.output, options.jobs, options.force);
  AddSummaryOptions(*command, arguments->json, arguments->quiet);
  command->callback([arguments, &exit_code] {
    RunOptimize(*arguments);
    exit_code = 0;
  });
}

}  // namespace firn
