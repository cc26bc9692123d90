#ifndef FIRN_MOUNTD_MOUNT_LIST_H_
#define FIRN_MOUNTD_MOUNT_LIST_H_

#include <optional>
#include <string>
#include <vector>

#include "mountd/session_status.h"

namespace firn {

// An image that is shown somewhere.
struct MountedImage {
  std::string mount_point;
  std::string image;                    // path
  std::optional<SessionStatus> status;  // absent: its firnd is dead
};

// The sessions that the caller may see, then the mounts of its namespace whose firnd is dead.
// `directory`: only what is shown there.
std::vector<MountedImage> ListMountedImages(const std::optional<std::string>& directory);

}  // namespace firn

#endif  // FIRN_MOUNTD_MOUNT_LIST_H_
