#include "mountd/namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "format/file.h"
#include "mountd/namespace_refusal.h"

namespace firn {
namespace {

[[noreturn]] void ThrowRefusal(NamespaceStep step, int error_number) {
  throw ExplainNamespaceRefusal(step, error_number, ReadNamespaceSettings());
}

void WriteIdFile(const char* path, std::string_view text) {
  const FileDescriptor file(open(path, O_WRONLY | O_CLOEXEC));
  if (!file.valid() ||
      write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    ThrowRefusal(NamespaceStep::kIdMaps, errno);
  }
}

void MapToThemselves(uid_t uid, gid_t gid) {
  // An unprivileged process may map its gid only once it has given up setgroups(2).
  WriteIdFile("/proc/self/setgroups", "deny");
  const std::string user = std::to_string(uid);
  const std::string group = std::to_string(gid);
  WriteIdFile("/proc/self/uid_map", user + " " + user + " 1\n");
  WriteIdFile("/proc/self/gid_map", group + " " + group + " 1\n");
}

// Slave, not private: what the host mounts or unmounts later (autofs, NFS) reaches the job too.
void MakeMountsSlaves() {
  if (mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    ThrowRefusal(NamespaceStep::kPropagation, errno);
  }
}

}  // namespace

JobNamespace EnterJobNamespace() {
  JobNamespace kind = JobNamespace::kMount;
  if (unshare(CLONE_NEWNS) != 0) {
    if (errno != EPERM) ThrowRefusal(NamespaceStep::kMountNamespace, errno);
    const uid_t uid = geteuid();
    const gid_t gid = getegid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
      ThrowRefusal(NamespaceStep::kUserNamespace, errno);
    }
    MapToThemselves(uid, gid);
    kind = JobNamespace::kUserAndMount;
  }
  MakeMountsSlaves();
  return kind;
}

void EnterJobNamespaceIn(const FileDescriptor& user_namespace) {
  if (!user_namespace.valid()) {
    EnterJobNamespace();
    return;
  }
  if (setns(user_namespace.get(), CLONE_NEWUSER) != 0) {
    ThrowRefusal(NamespaceStep::kUserNamespace, errno);
  }
  if (unshare(CLONE_NEWNS) != 0) ThrowRefusal(NamespaceStep::kMountNamespace, errno);
  MakeMountsSlaves();
}

}  // namespace firn
