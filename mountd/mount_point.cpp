#include "mountd/mount_point.h"

#include <dirent.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <string_view>

#include "format/error.h"
#include "mountd/child_answer.h"
#include "mountd/mount_table.h"

namespace firn {
namespace {

struct Free {
  void operator()(char* text) const { free(text); }
};
struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

// Empty where it fails, with errno set.
std::string RealPath(const std::string& path) {
  const std::unique_ptr<char, Free> resolved(realpath(path.c_str(), nullptr));
  return resolved == nullptr ? std::string() : std::string(resolved.get());
}

Error UnusableMountPoint(int error_number, const std::string& path) {
  switch (error_number) {
    case ENOENT:
      return Error(ErrorKind::kMountPoint, "the mount point does not exist",
                   "Create it with 'mkdir -p', or give another directory.")
          .WithPath(path);
    case ENOTDIR:
      return Error(ErrorKind::kMountPoint, "expected a directory to mount on, found another file",
                   "Give a directory.")
          .WithPath(path);
    default:
      return SystemError(ErrorKind::kMountPoint, error_number, "cannot use the mount point",
                         "Give a directory that you may enter.")
          .WithPath(path);
  }
}

Error StaleMount(const std::string& path) {
  return Error(ErrorKind::kMountPoint, "the firnd of the image mounted here is dead",
               "Clean up with 'firn unmount " + path + "', then mount again.")
      .WithPath(path);
}

void RefuseFirnMount(const std::string& target) {
  const std::optional<MountEntry> mounted = FindMount(ReadMountTable(), target);
  if (!mounted || !mounted->IsFirn()) return;
  if (IsStaleMount(target)) throw StaleMount(target);
  throw Error(ErrorKind::kMountPoint, "an image is mounted here already: " + mounted->FirnImage(),
              "Give another directory, or unmount that one first: 'firn unmount " + target + "'.")
      .WithPath(target);
}

// One that may not be listed is taken for empty: mounting is not refused for that.
bool IsEmptyDirectory(const std::string& path) {
  const std::unique_ptr<DIR, CloseDirectory> directory(opendir(path.c_str()));
  if (directory == nullptr) return true;
  while (const dirent* entry = readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") return false;
  }
  return true;
}

bool IsDisconnection(int error) { return error == ENOTCONN || error == ECONNABORTED; }

// Does a look-up say that firnd is gone? Asked by a child, as an image may be on a file system that
// hangs: who does not answer in time is not dead.
bool LooksUpOfTheDead(const std::string& target) {
  constexpr std::chrono::milliseconds kPatience{1000};
  // A name that nobody asked for before: whatever else the kernel remembers, this it must ask.
  const std::string unheard_of = target + "/.firn-probe-" + std::to_string(getpid()) + "-" +
                                 std::to_string(std::random_device()());
  const std::string kDead = "dead";
  return AskInChild(kPatience, [&] {
           struct stat found {};
           const bool is_dead = lstat(unheard_of.c_str(), &found) != 0 && IsDisconnection(errno);
           return is_dead ? kDead : "alive";
         }) == kDead;
}

}  // namespace

std::string CheckMountPoint(const std::string& path) {
  const std::string target = RealPath(path);
  if (target.empty()) {
    if (errno == ENOTCONN) throw StaleMount(ResolveMountTarget(path));
    throw UnusableMountPoint(errno, path);
  }
  RefuseFirnMount(target);
  struct stat status {};
  if (stat(target.c_str(), &status) != 0) throw UnusableMountPoint(errno, target);
  if (!S_ISDIR(status.st_mode)) throw UnusableMountPoint(ENOTDIR, target);
  if (!IsEmptyDirectory(target)) {
    throw Error(ErrorKind::kMountPoint, "the mount point is not empty",
                "Give an empty directory: what is in this one would be hidden.")
        .WithPath(target);
  }
  return target;
}

std::string ResolveMountTarget(const std::string& path) {
  const std::string target = RealPath(path);
  if (!target.empty()) return target;
  if (errno != ENOTCONN && errno != EACCES && errno != EIO) throw UnusableMountPoint(errno, path);
  // The last component does not answer, or only its mounter may enter it; what leads to it does.
  std::filesystem::path lexical = std::filesystem::absolute(path).lexically_normal();
  if (!lexical.has_filename()) lexical = lexical.parent_path();
  const std::string parent = RealPath(lexical.parent_path().string());
  if (parent.empty()) throw UnusableMountPoint(errno, path);
  return (std::filesystem::path(parent) / lexical.filename()).string();
}

bool IsStaleMount(const std::string& target) {
  // The kernel remembers no answer to this, and firnd has one though an image's file system hangs.
  struct statfs status {};
  if (statfs(target.c_str(), &status) != 0) return IsDisconnection(errno);
  // An overlay answers for itself.
  return status.f_type == OVERLAYFS_SUPER_MAGIC && LooksUpOfTheDead(target);
}

}  // namespace firn
