#ifndef FIRN_MOUNTD_MOUNT_POINT_H_
#define FIRN_MOUNTD_MOUNT_POINT_H_

#include <string>

namespace firn {

// The absolute path without symlinks of a directory to mount on, after checking that an image may
// be mounted there: it exists, is an empty directory, and shows no image already (a mount whose
// firnd died is named as such). Throws kMountPoint.
std::string CheckMountPoint(const std::string& path);

// The absolute path without symlinks, as the mount table has it, of something mounted; it works
// also where the mount itself no longer answers. Throws kMountPoint where there is nothing.
std::string ResolveMountTarget(const std::string& path);

// Does the Firn mount at `target` have no firnd any more?
bool IsStaleMount(const std::string& target);

}  // namespace firn

#endif  // FIRN_MOUNTD_MOUNT_POINT_H_
