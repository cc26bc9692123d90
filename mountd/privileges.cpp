#include "mountd/privileges.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>

#include "format/error.h"
#include "mountd/fuse_mount.h"

namespace firn {
namespace {

void RequirePrivilegeCall(bool success, const char* what) {
  if (!success) throw SystemError(ErrorKind::kInternal, errno, what);
}

class Filter {
 public:
  Filter() : context_(seccomp_init(SCMP_ACT_ERRNO(EPERM))) { Check(context_ ? 0 : -ENOMEM); }

  void Allow(int number) { Check(seccomp_rule_add(context_.get(), SCMP_ACT_ALLOW, number, 0)); }
  // Where the bits of `mask` in that argument are `bits`.
  void AllowWhere(int number, unsigned argument, uint64_t mask, uint64_t bits) {
    const scmp_arg_cmp condition = {argument, SCMP_CMP_MASKED_EQ, mask, bits};
    Check(seccomp_rule_add_array(context_.get(), SCMP_ACT_ALLOW, number, 1, &condition));
  }
  void Fail(int number, uint16_t error) {
    Check(seccomp_rule_add(context_.get(), SCMP_ACT_ERRNO(error), number, 0));
  }
  void Load() { Check(seccomp_load(context_.get())); }

 private:
  struct Release {
    void operator()(void* context) const { seccomp_release(context); }
  };

  static void Check(int result) {
    if (result >= 0) return;
    throw SystemError(ErrorKind::kSystem, -result, "cannot confine the worker with seccomp",
                      "Ask the site for a kernel with seccomp filters.");
  }

  std::unique_ptr<void, Release> context_;
};

constexpr int kAllowed[] = {
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(preadv), SCMP_SYS(write),
    SCMP_SYS(writev), SCMP_SYS(recvmsg), SCMP_SYS(recvfrom), SCMP_SYS(sendmsg), SCMP_SYS(sendto),
    SCMP_SYS(close), SCMP_SYS(fstat), SCMP_SYS(fstatfs), SCMP_SYS(lseek), SCMP_SYS(fadvise64),
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(eventfd2),
    // memory
    SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk),
    // threads and signals
    SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(exit),
    SCMP_SYS(exit_group), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity),
    SCMP_SYS(restart_syscall), SCMP_SYS(membarrier),
    // clocks and numbers
    SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep), SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday),
    SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getrandom)};

}  // namespace

void DropPrivileges() {
  constexpr uid_t kNobody = 65534;
  // The root of a container may not be allowed to be anybody else, and is nobody outside of it.
  if (geteuid() == 0 && !InUserNamespace()) {
    RequirePrivilegeCall(setgroups(0, nullptr) == 0 && setresgid(kNobody, kNobody, kNobody) == 0 &&
                             setresuid(kNobody, kNobody, kNobody) == 0,
                         "cannot become nobody");
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none{};
  RequirePrivilegeCall(syscall(SYS_capset, &header, none.data()) == 0, "cannot drop capabilities");
  RequirePrivilegeCall(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0,
                       "cannot give up new privileges");
}

CapabilitiesOverExec::CapabilitiesOverExec() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  if (geteuid() == 0 || syscall(SYS_capget, &header, sets.data()) != 0) return;
  for (__user_cap_data_struct& set : sets) set.inheritable = set.permitted;
  if (syscall(SYS_capset, &header, sets.data()) != 0) return;
  for (unsigned capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    if ((sets[CAP_TO_INDEX(capability)].permitted & CAP_TO_MASK(capability)) == 0) continue;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
  }
}

void CapabilitiesOverExec::ForgetExec() {
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  if (geteuid() == 0 || syscall(SYS_capget, &header, sets.data()) != 0) return;
  for (__user_cap_data_struct& set : sets) set.inheritable = 0;
  syscall(SYS_capset, &header, sets.data());
}

void ConfineToServing() {
  Filter filter;
  for (const int number : kAllowed) filter.Allow(number);
  filter.AllowWhere(SCMP_SYS(mmap), 2, PROT_EXEC, 0);
  filter.AllowWhere(SCMP_SYS(mprotect), 2, PROT_EXEC, 0);
  // Threads, not processes. clone3 hides its flags from filters; the C library does without it.
  filter.AllowWhere(SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD);
  filter.Fail(SCMP_SYS(clone3), ENOSYS);
  filter.AllowWhere(SCMP_SYS(prctl), 0, ~uint64_t{0}, PR_SET_NAME);
  for (const int command : {F_GETFD, F_GETFL, F_DUPFD_CLOEXEC}) {
    filter.AllowWhere(SCMP_SYS(fcntl), 1, ~uint64_t{0}, static_cast<uint64_t>(command));
  }
  // Itself, and none of the other workers, who are nobody too.
  filter.AllowWhere(SCMP_SYS(tgkill), 0, ~uint64_t{0}, static_cast<uint64_t>(getpid()));
  filter.AllowWhere(SCMP_SYS(setpriority), 1, ~uint64_t{0}, 0);
  filter.Load();
}

}  // namespace firn
