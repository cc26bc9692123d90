#ifndef FIRN_BUILDER_CHILD_PROCESS_H_
#define FIRN_BUILDER_CHILD_PROCESS_H_

#include <sys/types.h>

#include <chrono>
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
    // File for its stderr. Empty: it is among the output, which is text for people then, whose
    // last line may lack its end.
    std::string error_log;
    // How long it may take to end by itself when it is not wanted any more, and has been told so
    // by SIGINT as from a terminal.
    std::chrono::milliseconds grace{0};
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
  void LetEnd();

  pid_t pid_ = -1;
  std::chrono::milliseconds grace_;
  bool takes_text_;
  FileDescriptor output_;
};

}  // namespace firn

#endif  // FIRN_BUILDER_CHILD_PROCESS_H_
