#ifndef FIRN_MOUNTD_LAYERED_MOUNT_H_
#define FIRN_MOUNTD_LAYERED_MOUNT_H_

#include <string>
#include <vector>

#include "mountd/job_view.h"
#include "mountd/launch.h"

namespace firn {

// Mounts at `directory`, for everybody, what the images show as one: the lowest first, each over
// the one before it, and each served by a firnd of its own, which ends when the mount does. Returns
// the session of the topmost. Needs MayMount(). Throws as LaunchSession() does; then nothing is
// mounted.
SessionAddress MountLayers(const std::vector<JobImage>& images, const std::string& directory,
                           const LaunchOptions& options);

}  // namespace firn

#endif  // FIRN_MOUNTD_LAYERED_MOUNT_H_
