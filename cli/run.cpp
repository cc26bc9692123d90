#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "cli/image_file.h"
#include "cli/session_options.h"
#include "format/appendix.h"
#include "format/error.h"
#include "format/file.h"
#include "mountd/job_view.h"

namespace firn {
namespace {

// As env(1) and its like have them.
constexpr int kRunFailed = 125;
constexpr int kNotExecutable = 126;
constexpr int kNotFound = 127;

constexpr char kRunFooter[] =
    "CMD becomes this process: its exit code, its signals, its environment, standard input and\n"
    "output, uid and gid are the caller's. It and its children see each image, read-only, at the\n"
    "prefix that it was built for; nobody else does. PATH stays as it is: give programs of the\n"
    "image by their path, or set PATH.\n"
    "\n"
    "A prefix that is missing on this machine is made where you may make directories; elsewhere\n"
    "it appears in the job only, and the directories that it appears in are read-only for it.\n"
    "\n"
    "Exit codes: CMD's own; 125 firn run failed, 126 CMD cannot be executed, 127 not found.\n"
    "\n"
    "Examples:\n"
    "  firn run science.firn -- /opt/envs/science/bin/python3 job.py\n"
    "  firn run base.firn tools.firn -- make -j8          two images, each at its prefix\n"
    "  firn run --prefix /opt/new science.firn -- sh      at another place\n"
    "  firn run --foreign --prefix /opt/sw sw.sqfs -- sh  a SquashFS file made by mksquashfs\n"
    "  srun firn run science.firn -- ./rank               every rank of a Slurm job step";

struct RunOptions {
  std::vector<std::string> images;
  std::vector<std::string> prefixes;
  SessionOptions session;
};

void CheckUsage(const RunOptions& options, const std::vector<std::string>& command) {
  if (command.empty()) {
    throw Error(ErrorKind::kUsage, "no command to run",
                "Put it behind --, as in: firn run " + options.images.front() + " -- CMD");
  }
  if (!options.prefixes.empty() && options.prefixes.size() != options.images.size()) {
    throw Error(ErrorKind::kUsage,
                "expected --prefix once for each of the " + std::to_string(options.images.size()) +
                    " images, found it " + std::to_string(options.prefixes.size()) + " times",
                "Give one prefix for each image, in the images' order, or none.");
  }
}

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

void Run(const RunOptions& options, const std::vector<std::string>& command, int& exit_code) {
  CheckUsage(options, command);
  std::vector<JobImage> images;
  for (size_t i = 0; i < options.images.size(); ++i) {
    std::optional<std::string> prefix;
    if (!options.prefixes.empty()) prefix = options.prefixes[i];
    images.push_back(OpenJobImage(options.images[i], prefix, options.session.foreign));
  }
  EnterJobView(images, options.session.ToLaunchOptions());
  const int error_number = ExecuteCommand(command);
  exit_code = error_number == ENOENT ? kNotFound : kNotExecutable;
  ThrowNotExecuted(error_number, command.front(), images);
}

}  // namespace

void AddRunCommand(CLI::App& app, const std::vector<std::string>& command, int& exit_code) {
  const auto options = std::make_shared<RunOptions>();
  CLI::App* run = app.add_subcommand("run", "Run a command that sees images at their prefixes");
  run->footer(kRunFooter);
  run->add_option("IMAGE", options->images, "Image files, shown in this order")->required();
  run->add_option("--prefix", options->prefixes,
                  "Where to show the image, instead of the prefix it was built for; with several "
                  "images once for each")
      ->option_text("DIR")
      ->allow_extra_args(false);
  AddSessionOptions(*run, options->session);
  // Usage errors of `run` are its failures too: the codes below 125 are the command's.
  run->preparse_callback([&exit_code](size_t) { exit_code = kRunFailed; });
  run->callback([options, &command, &exit_code] { Run(*options, command, exit_code); });
}

}  // namespace firn
