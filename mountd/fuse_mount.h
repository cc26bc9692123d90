#ifndef FIRN_MOUNTD_FUSE_MOUNT_H_
#define FIRN_MOUNTD_FUSE_MOUNT_H_

#include <string>

#include "format/file.h"

namespace firn {

// The file system type of every Firn mount, as the mount table shows it.
inline constexpr char kFuseType[] = "fuse.firn";

// How many requests of read-ahead the kernel has under way at once, where nobody says. With as many
// unanswered, it holds back those of everybody else: so many that readers of an image on a file
// system that does not answer are fewer.
inline constexpr unsigned kDefaultMaxBackground = 4096;

// The longest read that the kernel asks for in one request, in bytes.
inline constexpr unsigned kMaxReadLength = 1u << 20;

struct FuseMountOptions {
  std::string source;       // what the mount table shows as source: the image's path
  bool allow_other = true;  // others than the mounter may enter (and within its user namespace)
  // SELinux' label for everything in the mount; empty: what its policy says. See
  // PermittedContext().
  std::string selinux_context = {};
};

// The context where the caller may give its mounts one, else nothing: SELinux takes none for FUSE
// mounts in a user namespace, and fusermount3 passes none on.
std::string PermittedContext(const std::string& selinux_context);

// What gives a mount that context, to stand behind other options in mount(2)'s data; empty without
// one. A context may hold commas, so it is quoted; it must not hold a quote.
std::string SelinuxMountData(const std::string& selinux_context);

// The data of mount(2) for a FUSE mount by the caller.
std::string FuseMountData(int fuse_fd, const FuseMountOptions& options);

// Opens /dev/fuse. The kernel ties the descriptor to the caller's user namespace: it can be
// mounted there only. Throws kSystem saying what the machine lacks or forbids, and what to ask for.
FileDescriptor OpenFuseDevice();

// Mounts `fuse_fd` at `target` with mount(2), in the caller's mount namespace: read-only, nosuid,
// nodev, default_permissions, owned by the caller. Needs CAP_SYS_ADMIN in the caller's user
// namespace. Throws kSystem or kMountPoint.
void MountFuse(int fuse_fd, const std::string& target, const FuseMountOptions& options);

// The same for an ordinary user, through the setuid program fusermount3; only its user may enter,
// and `options.selinux_context` is left out.
// Returns the FUSE descriptor. Throws kSystem (fusermount3 missing or refusing) or kMountPoint.
FileDescriptor MountThroughFusermount(const std::string& target, const FuseMountOptions& options);

// Has the kernel read ahead as much as one request carries (kMaxReadLength) on the FUSE file system
// mounted there, which is being served. Root may; where it may not be set, the kernel's 128 KiB
// stay.
void RaiseReadAhead(const std::string& fuse_mount);

enum class UnmountMode { kRefuseBusy, kLazy };

// Takes away the topmost mount at `target`: with umount2(2) where the caller may, else through
// fusermount3. Returns false where it is busy (kRefuseBusy only). Throws kMountPoint or kSystem.
bool UnmountTarget(const std::string& target, UnmountMode mode);

// Has the caller CAP_SYS_ADMIN in its user namespace, so that it may mount without fusermount3?
bool MayMount();

// Is the caller in a user namespace other than the initial one?
bool InUserNamespace();

}  // namespace firn

#endif  // FIRN_MOUNTD_FUSE_MOUNT_H_
