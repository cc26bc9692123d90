#include "mountd/privileges.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "format/file.h"
#include "mountd/subprocess.h"

namespace firn {
namespace {

struct Attempt {
  const char* name;
  std::function<long()> call;
};

// As addresses, which syscall() takes as numbers.
constexpr const char* kFile = "/etc/passwd";
constexpr const char* kProgram = "/bin/true";

std::vector<Attempt> ForbiddenCalls(pid_t other) {
  static char* const kNoWords[] = {nullptr};
  static struct stat status;
  static struct statx extended;
  static open_how how{};
  static const iovec kPart{&status, sizeof status};
  void* const page = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return {
      {"open", [] { return syscall(SYS_openat, AT_FDCWD, kFile, O_RDONLY, 0); }},
      {"openat2", [] { return syscall(SYS_openat2, AT_FDCWD, kFile, &how, sizeof how); }},
      {"create", [] { return syscall(SYS_openat, AT_FDCWD, "new", O_CREAT | O_WRONLY, 0600); }},
      {"open by handle", [] { return syscall(SYS_open_by_handle_at, 0, nullptr, 0); }},
      {"memfd", [] { return syscall(SYS_memfd_create, "x", 0); }},
      {"fstatat of a path",
       [] { return syscall(SYS_newfstatat, AT_FDCWD, kFile, &status, AT_EMPTY_PATH); }},
      {"statx", [] { return syscall(SYS_statx, AT_FDCWD, kFile, 0, STATX_ALL, &extended); }},
      {"access", [] { return syscall(SYS_faccessat, AT_FDCWD, kFile, R_OK); }},
      {"readlink", [] { return syscall(SYS_readlinkat, AT_FDCWD, kFile, &status, 1); }},
      {"unlink", [] { return syscall(SYS_unlinkat, AT_FDCWD, "new", 0); }},
      {"chdir", [] { return syscall(SYS_chdir, "/"); }},
      {"socket", [] { return syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0); }},
      {"internet socket", [] { return syscall(SYS_socket, AF_INET, SOCK_STREAM, 0); }},
      {"socketpair", [] { return syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, &status); }},
      {"connect", [] { return syscall(SYS_connect, 0, nullptr, 0); }},
      {"exec", [] { return syscall(SYS_execve, kProgram, kNoWords, kNoWords); }},
      {"execveat", [] { return syscall(SYS_execveat, AT_FDCWD, kProgram, kNoWords, kNoWords, 0); }},
      {"fork", [] { return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }},
      {"signal to another", [other] { return syscall(SYS_kill, other, 0); }},
      {"signal to another's thread", [other] { return syscall(SYS_tgkill, other, other, 0); }},
      {"its descriptors' signals to another",
       [other] { return syscall(SYS_fcntl, 0, F_SETOWN, other); }},
      {"priority of another",
       [other] { return syscall(SYS_setpriority, PRIO_PROCESS, other, 19); }},
      {"ptrace", [other] { return syscall(SYS_ptrace, 0x4206, other, 0, 0); }},
      {"another's memory",
       [other] { return syscall(SYS_process_vm_readv, other, &kPart, 1, &kPart, 1, 0); }},
      {"pidfd", [other] { return syscall(SYS_pidfd_open, other, 0); }},
      {"ioctl", [] { return syscall(SYS_ioctl, 0, 0x5401, &status); }},
      {"io_uring", [] { return syscall(SYS_io_uring_setup, 1, &status); }},
      {"bpf", [] { return syscall(SYS_bpf, 0, nullptr, 0); }},
      {"mount", [] { return syscall(SYS_mount, "x", "/", "tmpfs", 0, nullptr); }},
      {"unshare", [] { return syscall(SYS_unshare, CLONE_NEWUSER); }},
      {"setns", [] { return syscall(SYS_setns, 0, 0); }},
      {"setuid", [] { return syscall(SYS_setuid, 0); }},
      {"being dumped", [] { return syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0); }},
      {"memory to execute",
       [] {
         return syscall(SYS_mmap, nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                        -1, 0);
       }},
      {"making memory executable",
       [page] { return syscall(SYS_mprotect, page, 4096, PROT_READ | PROT_EXEC); }},
  };
}

// What a worker does that is confined: reads an image, starts threads, waits and wakes.
bool CanServe(const FileDescriptor& file) {
  std::byte letter;
  const bool reads = FileSize(file.get()) > 0 && ReadAt(file.get(), 0, {&letter, 1}) == 1;
  const FileDescriptor event(eventfd(0, EFD_CLOEXEC));
  const FileDescriptor copy(fcntl(file.get(), F_DUPFD_CLOEXEC, 0));
  bool has_run = false;
  std::thread([&] {
    setpriority(PRIO_PROCESS, 0, 5);
    has_run = true;
  }).join();
  return reads && event.valid() && copy.valid() && has_run;
}

// In a process of its own, which must not touch the parent's state: the report goes through a pipe.
std::string TryAll(const FileDescriptor& file, pid_t other) {
  const std::vector<Attempt> attempts = ForbiddenCalls(other);
  DropPrivileges();
  ConfineToServing();
  std::string report;
  for (const Attempt& attempt : attempts) {
    errno = 0;
    if (attempt.call() != -1) {
      report += std::string(attempt.name) + " is allowed\n";
    } else if (errno != EPERM) {
      report += std::string(attempt.name) + " fails with " + std::to_string(errno) + "\n";
    }
  }
  if (!CanServe(file)) report += "it cannot serve\n";
  return report + "done\n";
}

TEST(PrivilegesTest, AConfinedWorkerIsRefusedWhatServingDoesNotTake) {
#ifdef FIRN_SANITIZED
  GTEST_SKIP() << "a sanitizer's runtime makes calls that a worker is refused";
#endif
  const FileDescriptor file = OpenFile(kFile, O_RDONLY, ErrorKind::kInput);
  Pipe pipe = MakePipe();
  const pid_t parent = getpid();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    std::string report;
    try {
      report = TryAll(file, parent);
    } catch (const std::exception& error) {
      report = error.what();
    }
    const bool is_written = write(pipe.write_end.get(), report.data(), report.size()) ==
                            static_cast<ssize_t>(report.size());
    _exit(is_written ? 0 : 1);
  }
  pipe.write_end.Close();
  EXPECT_EQ(ReadAll(pipe.read_end.get(), 1 << 16), "done\n");
  EXPECT_EQ(WaitForExit(child), 0);
}

}  // namespace
}  // namespace firn
