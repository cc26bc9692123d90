#include "mountd/init_process.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>

#include "format/error.h"
#include "mountd/background.h"

namespace firn {
namespace {

constexpr char kInitName[] = "firnd-init";

// All but those that a process's own faults raise.
sigset_t PassedSignals() {
  sigset_t set;
  sigfillset(&set);
  for (const int number : {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS}) {
    sigdelset(&set, number);
  }
  return set;
}

bool IsPassedOn(int number) {
  return number != SIGCHLD && number != SIGTTIN && number != SIGTTOU && number != SIGPIPE;
}

int ExitCodeOf(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// The exit code of `served`, if it is among those that have ended.
std::optional<int> ReapAll(pid_t served) {
  std::optional<int> exit_code;
  for (;;) {
    int status = 0;
    const pid_t ended = waitpid(-1, &status, WNOHANG);
    if (ended < 0 && errno == EINTR) continue;
    if (ended <= 0) return exit_code;
    if (ended == served) exit_code = ExitCodeOf(status);
  }
}

int BeInit(pid_t served, const sigset_t& signals) {
  prctl(PR_SET_NAME, kInitName);
  CloseOtherDescriptors({});
  for (;;) {
    if (const std::optional<int> exit_code = ReapAll(served)) return *exit_code;
    const int number = sigwaitinfo(&signals, nullptr);
    if (number > 0 && IsPassedOn(number)) kill(served, number);
  }
}

// What a terminal sends goes to firnd alone, not also to process 1, which would pass it on.
void TakeTerminal() {
  setpgid(0, 0);
  if (tcgetpgrp(STDIN_FILENO) >= 0) tcsetpgrp(STDIN_FILENO, getpgrp());
}

}  // namespace

std::optional<int> LeaveProcessOne() {
  if (getpid() != 1) return std::nullopt;
  // Ignored, it would have the kernel reap, and no exit code be known.
  signal(SIGCHLD, SIG_DFL);
  const sigset_t signals = PassedSignals();
  sigset_t before;
  sigprocmask(SIG_BLOCK, &signals, &before);
  const pid_t served = fork();
  if (served < 0) throw SystemError(ErrorKind::kInternal, errno, "cannot fork");
  if (served > 0) return BeInit(served, signals);
  TakeTerminal();
  sigprocmask(SIG_SETMASK, &before, nullptr);
  return std::nullopt;
}

bool IsUnderOwnInit() {
  if (getppid() != 1) return false;
  std::ifstream comm("/proc/1/comm");
  std::string name;
  return std::getline(comm, name) && name == kInitName;
}

}  // namespace firn
