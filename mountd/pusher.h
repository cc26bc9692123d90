#ifndef FIRN_MOUNTD_PUSHER_H_
#define FIRN_MOUNTD_PUSHER_H_

namespace firn {

// Descriptors are the process's own, -1 where there is none.
struct PusherOptions {
  int root_fd = -1;            // the image's root, or the FUSE root above it
  bool above_image = false;    // `root_fd` is above
  int image_fd = -1;           // the image file, whose profile is done
  int state_fd = -1;           // a PrefetchState
  int user_namespace_fd = -1;  // that of the mount, where it is another
  unsigned threads = 1;        // that have a request under way each
};

// What the pusher's process does: drops its privileges, reads the image's profile and does it
// through the mount. Returns the process's exit code; throws what hinders it to begin.
int RunPusher(const PusherOptions& options);

}  // namespace firn

#endif  // FIRN_MOUNTD_PUSHER_H_
