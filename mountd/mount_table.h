#ifndef FIRN_MOUNTD_MOUNT_TABLE_H_
#define FIRN_MOUNTD_MOUNT_TABLE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace firn {

// A line of /proc/PID/mountinfo, escapes undone.
struct MountEntry {
  uint64_t id = 0;
  uint64_t parent = 0;
  std::string device;  // "MAJOR:MINOR"
  std::string root;    // which directory of the file system is mounted
  std::string target;
  std::string options;  // of the mount
  std::string type;
  std::string source;
  std::string super_options;  // of the file system

  // A FUSE mount of firnd, or an overlay view of one.
  bool IsFirn() const;
  // The image's path of a Firn mount.
  std::string FirnImage() const;
};

// What an overlay view has before the image's path in its source.
inline constexpr std::string_view kViewSourcePrefix = "firn:";

// Throws kInternal for a line that is not mountinfo.
MountEntry ParseMountLine(std::string_view line);

// The caller's mount namespace, in the kernel's order. Throws kSystem without /proc.
std::vector<MountEntry> ReadMountTable();

// What tells the caller's mount namespace from others: the inode number of its /proc entry.
uint64_t OwnMountNamespace();

// The topmost mount at exactly that absolute path without symlinks.
std::optional<MountEntry> FindMount(const std::vector<MountEntry>& table, std::string_view target);

}  // namespace firn

#endif  // FIRN_MOUNTD_MOUNT_TABLE_H_
