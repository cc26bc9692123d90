#ifndef FIRN_BUILDER_CHILD_PROCESS_H_
#define FIRN_BUILDER_CHILD_PROCESS_H_

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "format/file.h"

namespace firn {

// A program that prints lines which are read as they come. It runs in a process group of its own;
// destruction kills what is left of the group and waits. Not thread-safe.
class ChildProcess {
 public:
  struct Command {
    std::vector<std::string> arguments;    // the first is the program's path
    std::vector<std::string> environment;  // NAME=VALUE
    std::string directory;                 // to run in
    std::string error_log;                 // file for its stderr
  };
  // Throws kInternal, or kInput if the program cannot be executed.
  explicit ChildProcess(const Command& command);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Calls `take` for each line (without its end) until the output ends, and `poll` about ten times
  // a second. Both may throw. Returns the status as waitpid(2) gives it.
  int ReadLines(const std::function<void(const std::string&)>& take,
                const std::function<void()>& poll);

 private:
  int Wait();

  pid_t pid_ = -1;
  FileDescriptor output_;
};

}  // namespace firn

#endif  // FIRN_BUILDER_CHILD_PROCESS_H_
