#include "mountd/inherited_state.h"

#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <string_view>

namespace firn {
namespace {

constexpr int kIoPriorityOfProcess = 1;  // IOPRIO_WHO_PROCESS

// LOCPATH, LD_*, GLIBC_TUNABLES, OMP_*, NOTIFY_SOCKET and whatever else is not named here stay with
// the job. The sanitizers' variables mean nothing to programs built without.
constexpr const char* kKeptVariables[] = {"PATH",           "HOME",
                                          "USER",           "LOGNAME",
                                          "SHELL",          "LANG",
                                          "LC_ALL",         "TZ",
                                          "TMPDIR",         "XDG_RUNTIME_DIR",
                                          "XDG_STATE_HOME", "ASAN_OPTIONS",
                                          "UBSAN_OPTIONS",  "TSAN_OPTIONS",
                                          "LSAN_OPTIONS"};

void RaiseSoftLimits() {
  // A core file and the main thread's stack are nobody's loss.
  for (int resource = 0; resource < static_cast<int>(RLIM_NLIMITS); ++resource) {
    if (resource == RLIMIT_CORE || resource == RLIMIT_STACK) continue;
    const auto which = static_cast<__rlimit_resource_t>(resource);
    rlimit limit{};
    if (getrlimit(which, &limit) != 0) continue;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(which, &limit);
  }
}

}  // namespace

void ForgetRanksSettings() {
  cpu_set_t every;
  std::memset(&every, 0xff, sizeof every);
  sched_setaffinity(0, sizeof every, &every);  // the kernel leaves out what the cpuset forbids
  syscall(SYS_set_mempolicy, MPOL_DEFAULT, nullptr, 0);
  const sched_param parameters{};
  sched_setscheduler(0, SCHED_OTHER, &parameters);
  // Each takes a right that an ordinary user may lack; then it serves with what it has.
  setpriority(PRIO_PROCESS, 0, 0);
  syscall(SYS_ioprio_set, kIoPriorityOfProcess, 0, 0);
  RaiseSoftLimits();
}

bool IsTooLimitedForDaemon() {
  constexpr rlim_t kFewestDescriptors = 512;
  rlimit descriptors{};
  rlimit seconds{};
  return getrlimit(RLIMIT_NOFILE, &descriptors) != 0 || descriptors.rlim_max < kFewestDescriptors ||
         getrlimit(RLIMIT_CPU, &seconds) != 0 || seconds.rlim_max != RLIM_INFINITY;
}

std::vector<std::string> EnvironmentForDaemon() {
  std::vector<std::string> kept;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const std::string_view name = text.substr(0, text.find('='));
    for (const char* const wanted : kKeptVariables) {
      if (name == wanted) kept.emplace_back(text);
    }
  }
  return kept;
}

}  // namespace firn
