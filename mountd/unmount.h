#ifndef FIRN_MOUNTD_UNMOUNT_H_
#define FIRN_MOUNTD_UNMOUNT_H_

#include <sys/types.h>

#include <optional>
#include <string>

namespace firn {

struct UnmountResult {
  std::string target;            // as the mount table had it
  std::optional<pid_t> serving;  // the firnd that still runs: others use the image yet
};

// Takes away the Firn mount at `directory` and waits, some seconds, until its firnd is gone; also
// where that died before. `lazy`: also where it is in use; then nothing is waited for. Throws
// kMountPoint for what is no Firn mount, is busy, or is not the caller's to unmount.
UnmountResult UnmountImage(const std::string& directory, bool lazy);

}  // namespace firn

#endif  // FIRN_MOUNTD_UNMOUNT_H_
