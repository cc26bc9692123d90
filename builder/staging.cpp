#include "builder/staging.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <vector>

#include "format/error.h"

namespace firn {
namespace {

std::string MakeWorkDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0755) == 0) return path;
  throw SystemError(ErrorKind::kOutput, errno, "cannot make a directory",
                    "Set TMPDIR to a directory with room.")
      .WithPath(path);
}

// Another file system that is mounted below the directory; empty where there is none. An overlay
// shows one file system only.
std::string FindMountBelow(const std::string& directory) {
  std::ifstream table("/proc/self/mountinfo");
  const std::string below = directory + "/";
  for (std::string line; std::getline(table, line);) {
    std::istringstream fields(line);
    std::string id, parent, device, root, mount_point;
    fields >> id >> parent >> device >> root >> mount_point;
    if (mount_point.starts_with(below)) return mount_point;
  }
  return {};
}

std::string PathOf(const FileDescriptor& fd) {
  std::string path(4096, '\0');
  const std::string link = "/proc/self/fd/" + std::to_string(fd.get());
  const ssize_t length = readlink(link.c_str(), path.data(), path.size());
  path.resize(length > 0 ? static_cast<size_t>(length) : 0);
  return path;
}

// Makes every directory of `from` in `to`. In a user namespace, overlayfs cannot copy a directory
// of another owner or group when something in it changes; these it takes as they are, merged.
void MakeDirectoriesOf(int from, int to) {
  std::vector<std::string> names;
  {
    FileDescriptor own(openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    DIR* stream = own.valid() ? fdopendir(own.get()) : nullptr;
    if (stream == nullptr) return;  // whoever reads the tree names it
    own.Release();                  // closed with the stream
    while (const dirent* entry = readdir(stream)) {
      struct stat status;
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      const bool is_directory = entry->d_type == DT_DIR ||
                                (entry->d_type == DT_UNKNOWN &&
                                 fstatat(from, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                                 S_ISDIR(status.st_mode));
      if (is_directory) names.push_back(name);
    }
    closedir(stream);
  }
  for (const std::string& name : names) {
    constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;
    const FileDescriptor source(openat(from, name.c_str(), kFlags));
    if (!source.valid() || mkdirat(to, name.c_str(), 0755) != 0) continue;
    const FileDescriptor made(openat(to, name.c_str(), kFlags));
    if (made.valid()) MakeDirectoriesOf(source.get(), made.get());
  }
}

}  // namespace

Staging::Staging(const FileDescriptor& directory, const std::string& shown_name,
                 const std::string& place)
    : place_(place) {
  if (const std::string mounted = FindMountBelow(PathOf(directory)); !mounted.empty()) {
    throw Error(ErrorKind::kInput,
                "expected one file system, found another one mounted at " + mounted,
                "Copy the environment into one directory, or build it with --no-rules.")
        .WithPath(shown_name);
  }
  const FileDescriptor upper = OpenFile(MakeWorkDirectory(work_.path() + "/upper"),
                                        O_PATH | O_DIRECTORY, ErrorKind::kOutput);
  if (geteuid() != 0) {
    const FileDescriptor made =
        OpenFile(work_.path() + "/upper", O_RDONLY | O_DIRECTORY, ErrorKind::kOutput);
    MakeDirectoriesOf(directory.get(), made.get());
  }
  const FileDescriptor work =
      OpenFile(MakeWorkDirectory(work_.path() + "/work"), O_PATH | O_DIRECTORY, ErrorKind::kOutput);
  // Paths in overlayfs' options would need escapes, which differ between kernels; these do not.
  const auto at = [](const FileDescriptor& fd) {
    return "/proc/self/fd/" + std::to_string(fd.get());
  };
  const std::string data =
      "userxattr,lowerdir=" + at(directory) + ",upperdir=" + at(upper) + ",workdir=" + at(work);
  if (mount("firn-build", place_.c_str(), "overlay", MS_NOSUID | MS_NODEV, data.c_str()) != 0) {
    throw SystemError(ErrorKind::kSystem, errno, "the kernel refuses an overlay to build in",
                      "It takes overlayfs, for an ordinary user Linux 5.11 or later, and a TMPDIR "
                      "that is no overlay and no network file system; --no-rules does without, and "
                      "takes the tree as it is.")
        .WithPath(place_);
  }
}

Staging::Staging(const std::string& place) : place_(place) {
  const std::string tree = MakeWorkDirectory(work_.path() + "/tree");
  if (mount(tree.c_str(), place_.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    throw SystemError(ErrorKind::kSystem, errno, "cannot bind the directory to build in")
        .WithPath(place_);
  }
}

Staging::~Staging() { umount2(place_.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW); }

}  // namespace firn
