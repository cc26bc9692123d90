#include "builder/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "format/error.h"

namespace firn {
namespace {

constexpr int kPollMilliseconds = 100;

struct Pipe {
  FileDescriptor read;
  FileDescriptor write;
};

Pipe MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    throw SystemError(ErrorKind::kInternal, errno, "cannot make a pipe");
  }
  return {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& string : strings) pointers.push_back(const_cast<char*>(string.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// In the child, after fork: only what is safe there. Returns only if a step failed.
void BecomeProgram(const ChildProcess::Command& command, char* const* arguments,
                   char* const* environment, pid_t parent, int output, int error_log) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) return;
  // Addresses are part of the order of some sets; where a sandbox forbids this, nothing is lost
  // but that.
  personality(ADDR_NO_RANDOMIZE);
  const int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (input < 0 || dup2(input, STDIN_FILENO) < 0) return;
  if (dup2(output, STDOUT_FILENO) < 0 || dup2(error_log, STDERR_FILENO) < 0) return;
  if (chdir(command.directory.c_str()) != 0) return;
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) signal(number, SIG_DFL);
  execve(arguments[0], arguments, environment);
}

}  // namespace

ChildProcess::ChildProcess(const Command& command)
    : grace_(command.grace), takes_text_(command.error_log.empty()) {
  Pipe output = MakePipe();
  Pipe failure = MakePipe();  // carries errno, or is closed by a successful exec
  FileDescriptor log;
  if (!command.error_log.empty()) {
    log = FileDescriptor(
        open(command.error_log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!log.valid()) {
      throw SystemError(ErrorKind::kOutput, errno, "cannot create").WithPath(command.error_log);
    }
  }
  const int error_fd = log.valid() ? log.get() : output.write.get();
  const std::vector<char*> arguments = Pointers(command.arguments);
  const std::vector<char*> environment = Pointers(command.environment);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) throw SystemError(ErrorKind::kInternal, errno, "cannot fork");
  if (pid_ == 0) {
    BecomeProgram(command, arguments.data(), environment.data(), parent, output.write.get(),
                  error_fd);
    const int error = errno;
    [[maybe_unused]] const ssize_t put = write(failure.write.get(), &error, sizeof error);
    _exit(127);
  }
  setpgid(pid_, pid_);  // here too: it must be true before the child is killed
  failure.write.Close();
  int error = 0;
  ssize_t got = 0;
  do {
    got = read(failure.read.get(), &error, sizeof error);
  } while (got < 0 && errno == EINTR);
  if (got == static_cast<ssize_t>(sizeof error)) {
    Wait();
    throw SystemError(ErrorKind::kInput, error, "cannot run it").WithPath(command.arguments[0]);
  }
  output_ = std::move(output.read);
}

ChildProcess::~ChildProcess() {
  if (pid_ < 0) return;
  if (grace_.count() > 0) LetEnd();
  kill(-pid_, SIGKILL);
  // Its children, which are not ours to wait for, are gone when nobody holds the pipe any more.
  std::array<char, 4096> ignored;
  ssize_t got = 0;
  do {
    got = read(output_.get(), ignored.data(), ignored.size());
  } while (got > 0 || (got < 0 && errno == EINTR));
  Wait();
}

// Until nobody holds the pipe any more, or the time is up.
void ChildProcess::LetEnd() {
  kill(-pid_, SIGINT);
  const auto deadline = std::chrono::steady_clock::now() + grace_;
  std::array<char, 4096> ignored;
  while (std::chrono::steady_clock::now() < deadline) {
    pollfd ready{.fd = output_.get(), .events = POLLIN, .revents = 0};
    if (poll(&ready, 1, kPollMilliseconds) <= 0) continue;
    const ssize_t got = read(output_.get(), ignored.data(), ignored.size());
    if (got == 0 || (got < 0 && errno != EINTR)) return;
  }
}

int ChildProcess::ReadLines(const std::function<void(const std::string&)>& take,
                            const std::function<void()>& poll_function) {
  std::string pending;
  std::array<char, 4096> buffer;
  while (true) {
    poll_function();
    pollfd ready{.fd = output_.get(), .events = POLLIN, .revents = 0};
    const int count = poll(&ready, 1, kPollMilliseconds);
    if (count == 0 || (count < 0 && errno == EINTR)) continue;
    const ssize_t got = read(output_.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw SystemError(ErrorKind::kInternal, errno, "cannot read from a pipe");
    if (got == 0) {
      if (takes_text_ && !pending.empty()) take(pending);
      return Wait();
    }
    pending.append(buffer.data(), static_cast<size_t>(got));
    size_t start = 0;
    for (size_t end = pending.find('\n'); end != std::string::npos;
         end = pending.find('\n', start)) {
      take(pending.substr(start, end - start));
      start = end + 1;
    }
    pending.erase(0, start);
  }
}

int ChildProcess::Wait() {
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return status;
}

}  // namespace firn
