#ifndef FIRN_MOUNTD_LAUNCH_H_
#define FIRN_MOUNTD_LAUNCH_H_

#include <cstddef>
#include <optional>
#include <string>

#include "format/extent_check.h"
#include "format/file.h"
#include "mountd/readiness.h"
#include "mountd/view.h"

namespace firn {

struct LaunchOptions {
  std::string config;          // path of the configuration; empty: the site's
  bool foreign = false;        // take SquashFS files without an appendix too
  bool for_everybody = false;  // a caller's mount is part of one for everybody, not of a job
  int record_fd = -1;          // a pipe that gets the profile of what is done, at the end
  // What is absent here, 0 or empty, is as the configuration has it.
  std::optional<ViewChoice> view;
  size_t cache_bytes = 0;  // of decoded blocks
  unsigned threads = 0;    // that serve
  std::string log_file;
  std::optional<ExtentCheck> verify;
  std::optional<bool> prefetch;  // do what the image's profile says
};

// A FUSE mount that the caller made, in its own namespaces.
struct JobMount {
  FileDescriptor fuse;  // the session
  FileDescriptor root;  // the mount's root (O_PATH), for read-ahead and prefetch; may be invalid
  FileDescriptor user_namespace;  // in which the mount was made; invalid for firnd's own
};

// Starts a firnd in the background that mounts the image at the directory `mount_point` and serves
// it; returns when it is ready. `image` is a descriptor opened for reading, `image_name` its
// absolute path, for messages and the mount table. The caller keeps no child behind.
//
// Throws what firnd reports, or kNoReply where firnd cannot be started or dies before it is ready.
SessionAddress LaunchSession(const FileDescriptor& image, const std::string& image_name,
                             const std::string& mount_point, const LaunchOptions& options);

// The same for a FUSE mount that the caller made (MountFuse): firnd serves `job.fuse`, ready once
// the kernel's first request (INIT) is answered, ignores SIGTERM, SIGINT and SIGHUP, and exits when
// the last mount of it is gone. `options.view` must be given and not be kAuto: with kOverlay the
// FUSE root holds kOnlySlot (for PlaceOverlayView), with kDirect it is the image's root.
// `shown_at` is where the job sees it (the prefix), for status only.
//
// firnd stays in the caller's namespaces: call it from a process that is not in the job's, or the
// namespace's mounts would live as long as firnd. The caller must close its copy of `job` before
// the last mount goes.
SessionAddress LaunchSessionOn(const JobMount& job, const FileDescriptor& image,
                               const std::string& image_name, const std::string& shown_at,
                               const LaunchOptions& options);

// The path of firnd: $FIRND, or beside this program, or ../mountd beside it, or where it is
// installed. Throws kNoReply where there is none.
std::string FindFirnd();

}  // namespace firn

#endif  // FIRN_MOUNTD_LAUNCH_H_
