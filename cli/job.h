#ifndef FIRN_CLI_JOB_H_
#define FIRN_CLI_JOB_H_

#include <string>
#include <vector>

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
};

// Throws kUsage. `subcommand` is for the remedy's example.
void CheckJob(const JobArguments& job, const std::string& subcommand);

// Becomes the command. Its images are served by a firnd that serves others too (ConnectForJob())
// where `may_use_node` says so and there is one, else by one that is launched for each. Returns
// never; throws where that fails, with the code to exit with in `exit_code` where it is not
// kRunFailed.
[[noreturn]] void RunJob(const JobArguments& job, const LaunchOptions& launch, bool may_use_node,
                         int& exit_code);

}  // namespace firn

#endif  // FIRN_CLI_JOB_H_
