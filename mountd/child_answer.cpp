#include "mountd/child_answer.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "format/error.h"
#include "mountd/background.h"
#include "mountd/subprocess.h"

namespace firn {
namespace {

// A pipe takes as much at once.
constexpr size_t kMostAnswered = 4096;

[[noreturn]] void AnswerInChild(const std::function<std::string()>& ask, int fd) {
  // Left behind, it must not keep the caller's output open.
  SilenceStandardStreams();
  const std::string answer = ask().substr(0, kMostAnswered);
  const bool is_written =
      write(fd, answer.data(), answer.size()) == static_cast<ssize_t>(answer.size());
  // Not exit(): buffers and handlers are the parent's.
  _exit(is_written ? 0 : 1);
}

}  // namespace

std::optional<std::string> AskInChild(std::chrono::milliseconds patience,
                                      const std::function<std::string()>& ask) {
  Pipe pipe = MakePipe();
  const pid_t child = fork();
  if (child < 0) throw SystemError(ErrorKind::kSystem, errno, "cannot start a process");
  if (child == 0) AnswerInChild(ask, pipe.write_end.get());
  pipe.write_end.Close();
  if (!IsReadable(pipe.read_end.get(), patience)) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, WNOHANG);  // it may hang in the kernel
    return std::nullopt;
  }
  std::string answer = ReadAll(pipe.read_end.get(), kMostAnswered);
  WaitForExit(child);
  return answer;
}

}  // namespace firn
