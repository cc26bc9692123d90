#include "cli/job.h"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <utility>

#include "cli/image_file.h"
#include "cli/image_layers.h"
#include "cli/job_environment.h"
#include "cli/job_scratch.h"
#include "format/appendix.h"
#include "format/error.h"
#include "format/file.h"
#include "mountd/job_daemon.h"
#include "mountd/job_view.h"
#include "mountd/prefix_place.h"

namespace firn {
namespace {

struct OpenedJobImage {
  JobImage image;
  Manifest manifest;
};

OpenedJobImage OpenJobImage(const std::string& path, const std::optional<std::string>& prefix,
                            bool allow_foreign) {
  OpenedJobImage opened;
  JobImage& image = opened.image;
  image.fd = OpenImageFile(path);
  image.name = std::filesystem::absolute(path).lexically_normal().string();
  const std::optional<Appendix> appendix = allow_foreign
                                               ? Appendix::Read(image.fd.get(), path)
                                               : Appendix::ReadImage(image.fd.get(), path);
  image.foreign = !appendix;
  if (appendix) opened.manifest = appendix->ReadManifest(image.fd.get());
  if (prefix) {
    image.prefix = *prefix;
  } else if (appendix) {
    image.prefix = opened.manifest.prefix;
  } else {
    throw Error(ErrorKind::kUsage, "a foreign image has no prefix of its own",
                "Say with --prefix where the job is to see it.")
        .WithPath(path);
  }
  return opened;
}

struct OpenedLayers {
  std::vector<JobImage> images;
  Manifest manifest;  // of the top, with the variables of all
};

OpenedLayers OpenLayered(const std::string& path, const std::optional<std::string>& prefix,
                         bool allow_foreign,
                         const std::vector<std::string>& base_directories = {}) {
  const std::vector<std::string> paths = LayersOf(path, base_directories);
  OpenedJobImage top = OpenJobImage(paths.back(), prefix, allow_foreign);
  const std::string shown_at = top.image.prefix;
  OpenedLayers layers;
  Manifest below;
  for (const std::string& layer : paths) {
    OpenedJobImage opened =
        &layer == &paths.back() ? std::move(top) : OpenJobImage(layer, shown_at, allow_foreign);
    opened.image.is_layer = !layers.images.empty();
    layers.images.push_back(std::move(opened.image));
    std::vector<Manifest::Variable>& variables = opened.manifest.environment;
    variables.insert(variables.begin(), below.environment.begin(), below.environment.end());
    std::vector<std::string>& scratch = opened.manifest.scratch;
    scratch.insert(scratch.begin(), below.scratch.begin(), below.scratch.end());
    below = std::move(opened.manifest);
  }
  layers.manifest = std::move(below);
  return layers;
}

}  // namespace

std::vector<JobImage> OpenLayers(const std::string& path, const std::optional<std::string>& prefix,
                                 bool allow_foreign) {
  return OpenLayered(path, prefix, allow_foreign).images;
}

namespace {

// Nothing where no firnd but one of the job's own can show them.
std::vector<AttachedView> AttachToNode(const std::vector<JobImage>& images, bool prefetch) {
  std::optional<NodeClient> node = ConnectForJob();
  if (!node) return {};
  try {
    return AttachViews(images, *node, prefetch);
  } catch (const Error& error) {
    // A session of its own does without overlay and user namespace, say. Root's firnd knows why it
    // refuses.
    if (node->is_system() || error.kind() != ErrorKind::kSystem) throw;
    return {};
  }
}

// What to try where the caller expected the image's programs in PATH.
std::string FindInPrefixes(const std::string& program, const std::vector<JobImage>& images) {
  if (program.find('/') != std::string::npos) return {};
  for (const JobImage& image : images) {
    const std::string path = image.prefix + "/bin/" + program;
    if (access(path.c_str(), X_OK) == 0) {
      return "The image has it: give its path, " + path + ", or set PATH.";
    }
  }
  return "Neither an image's bin/ nor PATH has such a program.";
}

[[noreturn]] void ThrowNotExecuted(int error_number, const std::string& program,
                                   const std::vector<JobImage>& images) {
  const bool slash = program.find('/') != std::string::npos;
  std::string remedy;
  if (error_number == ENOENT && slash && access(program.c_str(), F_OK) == 0) {
    remedy = "The file is there; the interpreter of its first line, or its loader, is missing.";
  } else if (error_number == ENOENT) {
    remedy = FindInPrefixes(program, images);
  }
  throw SystemError(ErrorKind::kUsage, error_number, "cannot run the command", remedy)
      .WithPath(program);
}

void SetVariables(const std::vector<VariableChange>& changes) {
  for (const auto& [name, value] : changes) {
    const int result = value ? setenv(name.c_str(), value->c_str(), 1) : unsetenv(name.c_str());
    if (result != 0) throw SystemError(ErrorKind::kInternal, errno, "cannot set " + name);
  }
}

}  // namespace

OpenedImages OpenJobImages(const JobArguments& job, bool allow_foreign) {
  OpenedImages opened;
  for (size_t i = 0; i < job.images.size(); ++i) {
    std::optional<std::string> prefix;
    if (!job.prefixes.empty()) prefix = job.prefixes[i];
    OpenedLayers layers = OpenLayered(job.images[i], prefix, allow_foreign, job.base_directories);
    opened.shown.push_back({std::move(layers.manifest), NormalPrefix(layers.images.back().prefix)});
    for (JobImage& image : layers.images) opened.images.push_back(std::move(image));
  }
  return opened;
}

void AddJobOptions(CLI::App& command, JobArguments& job) {
  command.add_option("IMAGE", job.images, "Image files, shown in this order")->required();
  command
      .add_option("--prefix", job.prefixes,
                  "Where to show the image, instead of the prefix it was built for; with several "
                  "images once for each")
      ->option_text("DIR")
      ->allow_extra_args(false);
  command.add_flag("!--no-environment", job.set_variables,
                   "Set no variables: PATH and all others stay as they are");
}

void CheckJob(const JobArguments& job, const std::string& subcommand) {
  if (job.command.empty()) {
    throw Error(
        ErrorKind::kUsage, "no command to run",
        "Put it behind --, as in: firn " + subcommand + " " + job.images.front() + " -- CMD");
  }
  CheckPrefixCount(job);
}

void CheckPrefixCount(const JobArguments& job) {
  if (!job.prefixes.empty() && job.prefixes.size() != job.images.size()) {
    throw Error(ErrorKind::kUsage,
                "expected --prefix once for each of the " + std::to_string(job.images.size()) +
                    " images, found it " + std::to_string(job.prefixes.size()) + " times",
                "Give one prefix for each image, in the images' order, or none.");
  }
}

void RunJob(const JobArguments& job, const LaunchOptions& launch, bool may_use_node,
            int& exit_code) {
  const OpenedImages opened = OpenJobImages(job, launch.foreign);
  const std::vector<JobImage>& images = opened.images;
  // Checked as early as it can be: a name that cannot be set is no reason to mount anything.
  std::vector<VariableChange> variables;
  if (job.set_variables) {
    const Environment caller = OwnEnvironment();
    variables = JobVariables(opened.shown, caller);
    const auto scratch = MakeScratch(ScratchVariables(opened.shown, caller));
    variables.insert(variables.end(), scratch.begin(), scratch.end());
  }
  // A firnd waits for who is connected to it, so the images were opened before.
  CheckPrefixes(images);
  const std::vector<AttachedView> views = may_use_node
                                              ? AttachToNode(images, launch.prefetch.value_or(true))
                                              : std::vector<AttachedView>();
  if (views.empty()) {
    EnterJobView(images, launch);
  } else {
    EnterNodeView(images, views);
  }
  // Not before: firnd is started with the caller's environment.
  SetVariables(variables);
  const int error_number = ExecuteCommand(job.command);
  exit_code = error_number == ENOENT ? kNotFound : kNotExecutable;
  ThrowNotExecuted(error_number, job.command.front(), images);
}

}  // namespace firn
