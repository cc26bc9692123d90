#ifndef FIRN_MOUNTD_NAMESPACE_REFUSAL_H_
#define FIRN_MOUNTD_NAMESPACE_REFUSAL_H_

#include <cstdint>
#include <optional>
#include <string>

#include "format/error.h"

namespace firn {

// What the kernel was asked for when it refused a job's private namespaces.
enum class NamespaceStep { kMountNamespace, kUserNamespace, kIdMaps, kPropagation };

// Settings of the machine that forbid namespaces; absent where the kernel has no such setting.
struct NamespaceSettings {
  std::optional<int64_t> max_user_namespaces;        // user.max_user_namespaces
  std::optional<int64_t> max_mount_namespaces;       // user.max_mnt_namespaces
  std::optional<int64_t> unprivileged_userns_clone;  // Debian's kernel.unprivileged_userns_clone
  std::optional<int64_t> apparmor_restricts_userns;  // Ubuntu's
  bool user_namespaces_in_kernel = true;
  bool seccomp_filter = false;  // this process runs under one, as in most containers
};

// Reads them from /proc.
NamespaceSettings ReadNamespaceSettings();

// The Error (kSystem) for `error_number` at `step`: names the cause that the settings show, and
// what to ask the site for.
Error ExplainNamespaceRefusal(NamespaceStep step, int error_number,
                              const NamespaceSettings& settings);

}  // namespace firn

#endif  // FIRN_MOUNTD_NAMESPACE_REFUSAL_H_
