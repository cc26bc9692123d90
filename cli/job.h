#ifndef FIRN_CLI_JOB_H_
#define FIRN_CLI_JOB_H_

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/job_environment.h"
#include "mountd/job_view.h"
#include "mountd/launch.h"

namespace firn {

// As env(1) and its like have them.
inline constexpr int kRunFailed = 125;
inline constexpr int kNotExecutable = 126;
inline constexpr int kNotFound = 127;

// A command that is to see images at their prefixes.
struct JobArguments {
  std::vector<std::string> images;
  std::vector<std::string> prefixes;  // one for each image, or none
  std::vector<std::string> command;
  std::vector<std::string> base_directories = {};  // where bases are looked for, too
  bool set_variables = true;  // those of the images; else the caller's environment stays as it is
};

// The images of a job, each twice: to be mounted, and what it says of itself.
struct OpenedImages {
  std::vector<JobImage> images;
  std::vector<ImageInJob> shown;
};

// Throws kUsage, kInput, kDamaged.
OpenedImages OpenJobImages(const JobArguments& job, bool allow_foreign);

// The images, their places, and whether their variables are set.
void AddJobOptions(CLI::App& command, JobArguments& job);

// Throws kUsage unless there is a prefix for each image, or none.
void CheckPrefixCount(const JobArguments& job);
// Opens an image and those that it is a layer over, to be shown at its prefix, or at `prefix`.
// Throws kInput, kDamaged, kUsage.
std::vector<JobImage> OpenLayers(const std::string& path, const std::optional<std::string>& prefix,
                                 bool allow_foreign);

// Throws kUsage. `subcommand` is for the remedy's example.
void CheckJob(const JobArguments& job, const std::string& subcommand);

// Becomes the command, with the variables of its images (JobVariables). Its images are served by a
// firnd that serves others too (ConnectForJob()) where `may_use_node` says so and there is one,
// else by one that is launched for each. Returns never; throws where that fails, with the code to
// exit with in `exit_code` where it is not kRunFailed.
[[noreturn]] void RunJob(const JobArguments& job, const LaunchOptions& launch, bool may_use_node,
                         int& exit_code);

}  // namespace firn

#endif  // FIRN_CLI_JOB_H_
