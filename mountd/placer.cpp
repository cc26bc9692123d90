#include "mountd/placer.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "format/file.h"
#include "mountd/carried_error.h"
#include "mountd/json_line.h"

namespace firn {
namespace {

using nlohmann::json;

uint64_t PlaceForUser(const PlacerOptions& options) {
  {
    const FileAccessAs user(options.user);
    CheckMayMountOn(options.target_fd, options.user.uid, options.target);
  }
  if (move_mount(options.view_fd, "", options.target_fd, "",
                 MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
    // EINVAL: of a mount that is in another namespace.
    throw SystemError(errno == EINVAL ? ErrorKind::kSystem : ErrorKind::kMountPoint, errno,
                      "firnd cannot mount here",
                      "The directory must be in the mount namespace of the node's firnd; "
                      "--no-daemon does without.")
        .WithPath(options.target);
  }
  // It is where the detached one was, so its descriptor says which one it is.
  return MountIdOf(options.view_fd);
}

// By its name in the directory that it is in, which no rename can make another one's as long as it
// is mounted.
void UnmountView(const PlacerOptions& options) {
  const std::filesystem::path path(options.target);
  const std::string name = path.filename().string();
  const FileAccessAs user(options.user);
  if (chdir(path.parent_path().c_str()) != 0) {
    throw SystemError(ErrorKind::kMountPoint, errno, "cannot enter the directory above it")
        .WithPath(options.target);
  }
  const auto is_there = [&] {
    const FileDescriptor root(open(name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    return root.valid() && MountIdOf(root.get()) == options.mount_id;
  };
  if (!is_there()) {
    throw Error(ErrorKind::kMountPoint, "something else is mounted above it, or it was moved",
                "Unmount that first, or ask root.")
        .WithPath(options.target);
  }
  if (umount2(name.c_str(), UMOUNT_NOFOLLOW | (options.lazy ? MNT_DETACH : 0)) != 0) {
    if (errno == EBUSY) {
      throw Error(
          ErrorKind::kMountPoint, "the image is in use",
          "End what uses it ('fuser -vm " + options.target + "' lists that), or give --lazy.")
          .WithPath(options.target);
    }
    throw SystemError(ErrorKind::kMountPoint, errno, "cannot unmount").WithPath(options.target);
  }
}

}  // namespace

uint64_t MountIdOf(int fd) {
  std::ifstream info("/proc/self/fdinfo/" + std::to_string(fd));
  uint64_t id = 0;
  for (std::string key; info >> key;) {
    if (key == "mnt_id:" && info >> id) return id;
  }
  return 0;
}

int RunPlacer(const PlacerOptions& options) {
  json answer;
  try {
    if (options.view_fd >= 0) {
      answer["mount_id"] = PlaceForUser(options);
    } else {
      UnmountView(options);
      answer["mount_id"] = options.mount_id;
    }
  } catch (const Error& error) {
    answer["error"] = ErrorToJson(error);
  }
  const std::string line = JsonLine(answer) + "\n";
  const ssize_t written = write(options.ready_fd, line.data(), line.size());
  return written == static_cast<ssize_t>(line.size()) ? 0 : static_cast<int>(ErrorKind::kInternal);
}

}  // namespace firn
