#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "builder/build.h"
#include "builder/inspect/image_sections.h"
#include "builder/interrupt.h"
#include "cli/commands.h"
#include "cli/job.h"
#include "cli/new_image_options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "format/appendix.h"
#include "format/digest.h"
#include "format/error.h"
#include "format/layout.h"
#include "mountd/job_view.h"

namespace firn {
namespace {

constexpr char kFlattenFooter[] =
    "The new image shows what IMAGE and the images that it is a layer over show together, and "
    "needs\n"
    "none of them. What is stored of packages, needs and locks is taken from IMAGE.\n"
    "\n"
    "Example:\n"
    "  firn flatten project.firn -o project-whole.firn";

struct FlattenArguments {
  std::string image;
  BuildOptions options;
  bool json = false;
  bool quiet = false;
};

// What the layer on top says of the environment goes into the new image.
void TakeDescription(const std::string& path, const OpenedImages& layers, BuildOptions& options) {
  const int file = layers.images.back().fd.get();
  const Appendix appendix = Appendix::ReadImage(file, path);
  options.manifest = layers.shown.front().manifest;
  if (!options.manifest.base) {
    throw Error(ErrorKind::kUsage, "expected a layer, found an image that stands alone",
                "There is nothing to flatten: copy it.")
        .WithPath(path);
  }
  options.manifest.base.reset();
  options.name = options.manifest.name;
  options.prefix = options.manifest.prefix;
  options.level = options.manifest.compression_level;
  options.block_size = options.manifest.block_size;
  for (const std::string_view section :
       {kRecipeSection, kLocksSection, kPackagesSection, kNeedsSection, kSbomSection}) {
    if (std::optional<std::string> text = FindTextSection(file, appendix, section)) {
      options.sections.push_back({std::string(section), *std::move(text)});
    }
  }
}

void Flatten(const FlattenArguments& arguments) {
  BuildOptions options = arguments.options;
  JobArguments job;
  job.images = {arguments.image};
  const OpenedImages layers = OpenJobImages(job, /*allow_foreign=*/false);
  TakeDescription(arguments.image, layers, options);
  options.output = std::filesystem::absolute(options.output).lexically_normal().string();
  options.compile = false;  // the layers have what was compiled
  options.keep_modes = true;
  options.directory = *options.prefix;
  EnterJobView(layers.images, {});
  BuildSummary summary;
  {
    const InterruptGuard interrupts;
    ProgressBar bar(!arguments.quiet && !arguments.json);
    summary = Build(options, [&](const BuildProgress& progress) {
      const bool is_writing = progress.stage == BuildStage::kWrite;
      bar.Update(is_writing ? "writing" : "reading the tree", progress.done, progress.total,
                 is_writing ? ProgressBar::Unit::kBytes : ProgressBar::Unit::kCount);
    });
  }
  if (arguments.json) {
    PrintJson({{"image", summary.output},
               {"id", FormatImageId(summary.image.id)},
               {"source", arguments.image},
               {"files", summary.image.manifest.contents.files},
               {"bytes_out", summary.image.file_length},
               {"seconds", summary.seconds}});
  } else if (!arguments.quiet) {
    std::cout << summary.output << ": " << summary.image.manifest.contents.files << " files, "
              << FormatBytes(summary.image.file_length) << '\n'
              << "  id:          " << FormatImageId(summary.image.id) << '\n';
  }
}

}  // namespace

void AddFlattenCommand(CLI::App& app, int& exit_code) {
  const auto arguments = std::make_shared<FlattenArguments>();
  BuildOptions& options = arguments->options;
  CLI::App* command = app.add_subcommand("flatten", "Make one image of a layer and its bases");
  command->footer(kFlattenFooter);
  command->add_option("IMAGE", arguments->image, "The image file of the layer")->required();
  AddNewImageOptions(*command, options.output, options.jobs, options.force);
  AddSummaryOptions(*command, arguments->json, arguments->quiet);
  command->callback([arguments, &exit_code] {
    Flatten(*arguments);
    exit_code = 0;
  });
}

}  // namespace firn
