#include "mountd/namespace_refusal.h"

#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string_view>

namespace firn {
namespace {

std::optional<int64_t> ReadNumber(const char* path) {
  std::ifstream file(path);
  int64_t number = 0;
  if (!(file >> number)) return std::nullopt;
  return number;
}

bool UnderSeccompFilter() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("Seccomp:")) return line.find('2') != std::string::npos;
  }
  return false;
}

std::string_view Describe(NamespaceStep step) {
  switch (step) {
    case NamespaceStep::kMountNamespace:
      return "cannot make a mount namespace for the job";
    case NamespaceStep::kUserNamespace:
      return "cannot make a user namespace for the job";
    case NamespaceStep::kIdMaps:
      return "cannot map the caller's uid and gid into the job's user namespace";
    case NamespaceStep::kPropagation:
      return "cannot make the job's mounts private";
  }
  return "cannot make the job's namespaces";
}

struct Cause {
  std::string what;
  std::string remedy;
};

// Settings that stand for one cause; the order is that of certainty.
Cause FindCause(NamespaceStep step, int error_number, const NamespaceSettings& settings) {
  if (!settings.user_namespaces_in_kernel && step == NamespaceStep::kUserNamespace) {
    return {"the kernel is built without user namespaces (CONFIG_USER_NS)",
            "Ask the site for a kernel with them, or for 'firn mount' by an administrator."};
  }
  if (settings.max_user_namespaces == 0 && step != NamespaceStep::kMountNamespace) {
    return {"user namespaces are switched off (user.max_user_namespaces is 0)",
            "Ask the site to set it, for example: sysctl user.max_user_namespaces=15000"};
  }
  if (settings.unprivileged_userns_clone == 0) {
    return {"user namespaces are for root only (kernel.unprivileged_userns_clone is 0)",
            "Ask the site for: sysctl kernel.unprivileged_userns_clone=1"};
  }
  if (settings.apparmor_restricts_userns.value_or(0) != 0) {
    return {
        "AppArmor restricts user namespaces "
        "(kernel.apparmor_restrict_unprivileged_userns is 1)",
        "Ask the site for an AppArmor profile that allows 'userns' to this firn, or for: sysctl "
        "kernel.apparmor_restrict_unprivileged_userns=0"};
  }
  if (error_number == ENOSPC || error_number == EUSERS) {
    return {
        "the limit on namespaces is reached (user.max_user_namespaces, "
        "user.max_mnt_namespaces)",
        "Ask the site to raise the limit, or run fewer jobs at once."};
  }
  if (settings.seccomp_filter) {
    return {"a seccomp filter forbids it, as containers have one",
            "Run firn outside the container, or ask for a container whose seccomp profile allows "
            "unshare(2) and mount(2)."};
  }
  return {
      "the kernel gives no reason that shows; a chroot, a security module or a uid that "
      "the surrounding namespace does not know can be one",
      "Ask the site whether users may make user namespaces: 'unshare --user --map-root-user "
      "--mount true' must work."};
}

}  // namespace

NamespaceSettings ReadNamespaceSettings() {
  NamespaceSettings settings;
  settings.max_user_namespaces = ReadNumber("/proc/sys/user/max_user_namespaces");
  settings.max_mount_namespaces = ReadNumber("/proc/sys/user/max_mnt_namespaces");
  settings.unprivileged_userns_clone = ReadNumber("/proc/sys/kernel/unprivileged_userns_clone");
  settings.apparmor_restricts_userns =
      ReadNumber("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
  settings.user_namespaces_in_kernel = access("/proc/self/ns/user", F_OK) == 0;
  settings.seccomp_filter = UnderSeccompFilter();
  return settings;
}

Error ExplainNamespaceRefusal(NamespaceStep step, int error_number,
                              const NamespaceSettings& settings) {
  const Cause cause = FindCause(step, error_number, settings);
  const Error error = SystemError(ErrorKind::kSystem, error_number, Describe(step));
  return Error(ErrorKind::kSystem, error.message() + "; " + cause.what, cause.remedy);
}

}  // namespace firn
