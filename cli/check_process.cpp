#include "cli/check_process.h"

#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "format/error.h"
#include "format/file.h"
#include "mountd/job_view.h"
#include "mountd/subprocess.h"

namespace firn {
namespace {

constexpr int kCannotStart = 126;
constexpr int kNoSuchProgram = 127;

void Say(int fd, const std::string& text) {
  [[maybe_unused]] const ssize_t put = write(fd, text.data(), text.size());
}

// A new network namespace has a loopback that is down; programs take it for granted.
void StartLoopback() {
  const FileDescriptor socket_fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strncpy(request.ifr_name, "lo", sizeof request.ifr_name - 1);
  if (!socket_fd.valid() || ioctl(socket_fd.get(), SIOCGIFFLAGS, &request) != 0) return;
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  ioctl(socket_fd.get(), SIOCSIFFLAGS, &request);
}

[[noreturn]] void BecomeCommand(const IsolatedCommand& command) {
  clearenv();
  for (const auto& [name, value] : command.environment) setenv(name.c_str(), value.c_str(), 1);
  const int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (input < 0 || dup2(input, STDIN_FILENO) < 0 || dup2(command.output, STDOUT_FILENO) < 0 ||
      dup2(command.output, STDERR_FILENO) < 0 || chdir(command.directory.c_str()) != 0) {
    _exit(kCannotStart);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
  const int error = ExecuteCommand(command.arguments);
  Say(STDERR_FILENO, "cannot run " + command.arguments.front() + ": " + strerror(error) + "\n");
  _exit(error == ENOENT ? kNoSuchProgram : kCannotStart);
}

// The first process of the PID namespace: when it ends, the kernel ends the others.
[[noreturn]] void BeFirstProcess(const IsolatedCommand& command) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr);
  // A sandbox with its own idea of /proc may refuse; programs that look for others there then find
  // the caller's.
  mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr);
  StartLoopback();
  const pid_t main_process = fork();
  if (main_process == 0) BecomeCommand(command);
  if (main_process < 0) _exit(kCannotStart);
  for (;;) {
    int status = 0;
    const pid_t ended = wait(&status);
    if (ended == main_process) {
      _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    }
    if (ended < 0 && errno != EINTR) _exit(kCannotStart);
  }
}

// Waits for the process at most so long. True where it has ended.
bool WaitFor(pid_t pid, std::chrono::seconds timeout) {
  const FileDescriptor process = OpenProcess(pid);
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd ended{.fd = process.get(), .events = POLLIN, .revents = 0};
    const int wait = static_cast<int>(std::min<int64_t>(left.count(), 60'000));
    if (poll(&ended, 1, wait) > 0) return true;
  }
}

}  // namespace

IsolatedResult RunIsolated(const IsolatedCommand& command) {
  const unsigned long flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | SIGCHLD;
  const auto pid = static_cast<pid_t>(syscall(SYS_clone, flags, nullptr, nullptr, nullptr, 0));
  if (pid == 0) BeFirstProcess(command);
  if (pid < 0) {
    throw SystemError(ErrorKind::kSystem, errno,
                      "cannot make the namespaces in which a check has no network",
                      "Ask the site to allow PID and network namespaces, or leave the checks out "
                      "with --no-check.");
  }
  IsolatedResult result;
  if (!WaitFor(pid, command.timeout)) {
    result.timed_out = true;
    kill(pid, SIGKILL);
  }
  result.exit_code = WaitForExit(pid);
  return result;
}

}  // namespace firn
