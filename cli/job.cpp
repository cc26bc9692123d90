#include "cli/job.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <utility>

#include "cli/image_file.h"
#include "format/appendix.h"
#include "format/error.h"
#include "format/file.h"
#include "mountd/job_daemon.h"
#include "mountd/job_view.h"

namespace firn {
namespace {

JobImage OpenJobImage(const std::string& path, const std::optional<std::string>& prefix,
                      bool allow_foreign) {
  JobImage image;
  image.fd = OpenImageFile(path);
  image.name = std::filesystem::absolute(path).lexically_normal().string();
  const std::optional<Appendix> appendix = allow_foreign
                                               ? Appendix::Read(image.fd.get(), path)
                                               : Appendix::ReadImage(image.fd.get(), path);
  image.foreign = !appendix;
  if (prefix) {
    image.prefix = *prefix;
  } else if (appendix) {
    image.prefix = appendix->ReadManifest(image.fd.get()).prefix;
  } else {
    throw Error(ErrorKind::kUsage, "a foreign image has no prefix of its own",
                "Say with --prefix where the job is to see it.")
        .WithPath(path);
  }
  return image;
}

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
  return "PATH has no such program; firn run leaves PATH as it is.";
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

}  // namespace

void CheckJob(const JobArguments& job, const std::string& subcommand) {
  if (job.command.empty()) {
    throw Error(
        ErrorKind::kUsage, "no command to run",
        "Put it behind --, as in: firn " + subcommand + " " + job.images.front() + " -- CMD");
  }
  if (!job.prefixes.empty() && job.prefixes.size() != job.images.size()) {
    throw Error(ErrorKind::kUsage,
                "expected --prefix once for each of the " + std::to_string(job.images.size()) +
                    " images, found it " + std::to_string(job.prefixes.size()) + " times",
                "Give one prefix for each image, in the images' order, or none.");
  }
}

void RunJob(const JobArguments& job, const LaunchOptions& launch, bool may_use_node,
            int& exit_code) {
  std::vector<JobImage> images;
  for (size_t i = 0; i < job.images.size(); ++i) {
    std::optional<std::string> prefix;
    if (!job.prefixes.empty()) prefix = job.prefixes[i];
    images.push_back(OpenJobImage(job.images[i], prefix, launch.foreign));
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
  const int error_number = ExecuteCommand(job.command);
  exit_code = error_number == ENOENT ? kNotFound : kNotExecutable;
  ThrowNotExecuted(error_number, job.command.front(), images);
}

}  // namespace firn
