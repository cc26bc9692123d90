#ifndef FIRN_MOUNTD_CONFIG_H_
#define FIRN_MOUNTD_CONFIG_H_

#include <cstddef>
#include <optional>
#include <string>

#include "format/extent_check.h"
#include "mountd/fuse_mount.h"
#include "mountd/log_settings.h"
#include "mountd/metrics_address.h"
#include "mountd/node_limits.h"
#include "mountd/trust_policy.h"
#include "mountd/view.h"

namespace firn {

inline constexpr char kConfigPath[] = "/etc/firn/firnd.yaml";
inline constexpr size_t kDefaultCacheBytes = size_t{64} << 20;
inline constexpr unsigned kMostThreads = 256;

// What a site says of every firnd: firnd.yaml(5).
struct Config {
  size_t cache_bytes = kDefaultCacheBytes;  // of decoded blocks
  unsigned threads = 0;                     // that serve; 0: DefaultThreadCount()
  bool prefetch = true;                     // do what an image's profile says
  ViewChoice view = ViewChoice::kAuto;
  unsigned max_background = kDefaultMaxBackground;  // the kernel's read-ahead requests under way
  std::string selinux_context;                      // of mounts; empty: what the policy says
  unsigned linger = 60;    // seconds that an unused image stays attached to the node's firnd
  unsigned idle_exit = 0;  // seconds after which the node's firnd ends without images; 0: never
  NodeLimits limits;       // of the node's firnd
  MetricsAddress metrics;  // of the node's firnd
  // Absent: kProof under a policy that asks for signatures, else kChecksum.
  std::optional<ExtentCheck> verify;
  TrustSettings trust;
  LogSettings log;

  ExtentCheck CheckOfExtents() const;
};

// The configuration in the file `path`; where that is empty in kConfigPath, which may be missing:
// then defaults hold. Read by root, it must be a regular file that nobody else may change.
//
// Throws kUsage with every mistake in it, a line each, as FILE:LINE:COLUMN; kInput where it cannot
// be read or is not to be trusted.
Config LoadConfig(const std::string& path);

// The same for a text. `name` is the file's, for messages.
Config ParseConfig(const std::string& yaml, const std::string& name);

}  // namespace firn

#endif  // FIRN_MOUNTD_CONFIG_H_
