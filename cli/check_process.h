#ifndef FIRN_CLI_CHECK_PROCESS_H_
#define FIRN_CLI_CHECK_PROCESS_H_

#include <chrono>
#include <string>
#include <vector>

#include "cli/job_environment.h"

namespace firn {

struct IsolatedCommand {
  std::vector<std::string> arguments;  // the first is looked up in the environment's PATH
  Environment environment;             // all of it
  std::string directory;               // to run in
  std::chrono::seconds timeout{0};
  int output = -1;  // its standard output and error
};

struct IsolatedResult {
  int exit_code = 0;  // 128 + N for signal N, 126 and 127 where it cannot be run
  bool timed_out = false;
};

// Runs the command in mount, PID and network namespaces of its own within those of the caller, who
// must be able to make them: it has no network but the loopback, and none of its processes lives on
// when it ends, when its time is over, or when the caller dies. Needs a process with one thread.
// Throws kSystem where the machine allows no such namespaces.
IsolatedResult RunIsolated(const IsolatedCommand& command);

}  // namespace firn

#endif  // FIRN_CLI_CHECK_PROCESS_H_
