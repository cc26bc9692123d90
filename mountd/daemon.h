#ifndef FIRN_MOUNTD_DAEMON_H_
#define FIRN_MOUNTD_DAEMON_H_

#include <cstddef>
#include <optional>
#include <string>

#include "mountd/config.h"
#include "mountd/view.h"

namespace firn {

// What firnd is asked to do. Descriptors are the process's own, -1 where there is none.
struct DaemonOptions {
  std::string image;           // path; with image_fd, for messages and the mount table only
  int image_fd = -1;           // the image, opened for reading
  int fuse_fd = -1;            // a FUSE mount to serve, instead of mounting
  std::string mount_point;     // with fuse_fd: where the job sees the image
  bool for_everybody = false;  // with fuse_fd: it is no job that sees it there, but everybody
  bool foreign = false;
  std::optional<ViewKind> view;
  size_t cache_bytes = kDefaultCacheBytes;
  unsigned threads = 0;        // 0: DefaultThreadCount()
  bool prefetch = true;        // do what the image's profile says
  int record_fd = -1;          // a pipe for the profile of what was done with the image, at the end
  int root_fd = -1;            // with fuse_fd: the root of that mount, for read-ahead and prefetch
  int user_namespace_fd = -1;  // with root_fd: that of the mount, where it is another
  int ready_fd = -1;           // where to tell readiness
  unsigned max_background = kDefaultMaxBackground;  // the kernel's read-ahead requests under way
  std::string selinux_context;                      // of mounts that firnd makes; may be empty
  ExtentCheck verify = ExtentCheck::kChecksum;
  TrustSettings trust;
  LogSettings log;
  bool foreground = false;
};

// Mounts and serves. In the foreground it returns when the file system is unmounted and its last
// user gone; in the background it returns in the calling process as soon as firnd is ready (with
// ready_fd: at once), and in the daemon as in the foreground. Returns the exit code. Throws what
// hinders it; in the background only what the daemon told before it was ready.
int RunDaemon(const DaemonOptions& options);

}  // namespace firn

#endif  // FIRN_MOUNTD_DAEMON_H_
