#include "mountd/view.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>

#include "mountd/fuse_mount.h"
#include "mountd/mount_table.h"

namespace firn {
namespace {

Error RefusedView(int error_number, std::string_view what, const std::string& path) {
  return SystemError(ErrorKind::kSystem, error_number, what,
                     "A view through overlayfs takes the kernel's overlay file system, in a user "
                     "namespace Linux 5.11 or later; --view direct does without.")
      .WithPath(path);
}

// A small file system for the directories that the overlay needs, gone with this object: the
// mounts in it live on in what was cloned from them.
class Scratch {
 public:
  explicit Scratch(std::string path) : path_(std::move(path)) {
    if (mount("firn", path_.c_str(), "ramfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") != 0) {
      throw RefusedView(errno, "cannot mount a ramfs to make the view in", path_);
    }
  }
  ~Scratch() { umount2(path_.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::string MakeDirectory(const char* name) const {
    const std::string path = path_ + "/" + name;
    if (mkdir(path.c_str(), 0700) != 0) {
      throw SystemError(ErrorKind::kSystem, errno, "cannot make a directory").WithPath(path);
    }
    return path;
  }

 private:
  std::string path_;
};

FileDescriptor OpenDirectory(const std::string& path, ErrorKind kind) {
  return OpenFile(path, O_PATH | O_DIRECTORY, kind);
}

// Paths in overlayfs' options would need escapes, which differ between kernels; these do not.
std::string DescriptorPath(const FileDescriptor& fd) {
  return "/proc/self/fd/" + std::to_string(fd.get());
}

FileDescriptor CloneMount(int directory, const std::string& path) {
  FileDescriptor clone(
      open_tree(directory, path.c_str(), OPEN_TREE_CLONE | static_cast<unsigned>(O_CLOEXEC)));
  if (!clone.valid()) throw RefusedView(errno, "cannot clone the mount of the view", path);
  return clone;
}

// The root of an overlay looks as that of its first layer, which here is the empty one.
void TakeOver(const std::string& shown, const std::string& empty) {
  struct stat status;
  if (stat(shown.c_str(), &status) != 0) return;
  const std::array<timespec, 2> times = {status.st_atim, status.st_mtim};
  if (chmod(empty.c_str(), status.st_mode & 07777) != 0 ||
      utimensat(AT_FDCWD, empty.c_str(), times.data(), 0) != 0) {
    throw SystemError(ErrorKind::kSystem, errno, "cannot make the root of a view").WithPath(empty);
  }
}

// Mounts the layers, the topmost first, as an overlay, and takes the mount of options.slot in it.
OverlayView MountOverlay(const std::vector<std::string>& layers, const std::string& shown_name,
                         const std::string& scratch, const ViewOptions& options) {
  const Scratch room(scratch);
  const std::string empty_path = room.MakeDirectory("empty");
  const FileDescriptor empty = OpenDirectory(empty_path, ErrorKind::kSystem);
  if (options.slot.empty()) TakeOver(layers.front(), empty_path);
  const std::string merged = room.MakeDirectory("merged");
  const std::string source = std::string(kViewSourcePrefix) + options.image;
  const std::string data = OverlayMountData(DescriptorPath(empty), layers, options);
  if (mount(source.c_str(), merged.c_str(), "overlay", MS_RDONLY | MS_NOSUID | MS_NODEV,
            data.c_str()) != 0) {
    throw RefusedView(errno, "the kernel refuses an overlay view", shown_name);
  }
  OverlayView view{.mount = CloneMount(AT_FDCWD, merged + "/" + options.slot)};
  // The scratch file system lives as long as the overlay, which has a layer in it: its end is that
  // of the last mount of the view, and of the last file open in it.
  if (options.inotify >= 0) {
    view.watch = inotify_add_watch(options.inotify, empty_path.c_str(), IN_DELETE_SELF);
    if (view.watch < 0) throw RefusedView(errno, "cannot watch a view", empty_path);
  }
  return view;
}

}  // namespace

std::string_view ToString(ViewKind view) {
  return view == ViewKind::kOverlay ? "overlay" : "direct";
}

std::string_view ToString(ViewChoice choice) {
  const std::optional<ViewKind> kind = KindOf(choice);
  return kind ? ToString(*kind) : "auto";
}

std::optional<ViewChoice> ParseViewChoice(std::string_view name) {
  for (const ViewChoice choice : {ViewChoice::kAuto, ViewChoice::kOverlay, ViewChoice::kDirect}) {
    if (ToString(choice) == name) return choice;
  }
  return std::nullopt;
}

std::optional<ViewKind> KindOf(ViewChoice choice) {
  if (choice == ViewChoice::kAuto) return std::nullopt;
  return choice == ViewChoice::kOverlay ? ViewKind::kOverlay : ViewKind::kDirect;
}

std::string OverlayMountData(const std::string& empty, const std::vector<std::string>& layers,
                             const ViewOptions& options) {
  // The empty layer stands first, as that one answers statfs(2), which the kernel would otherwise
  // pass on each time: of a ramfs it is all zeros, so that df and the like take no notice of it.
  std::string data = "xino=on,lowerdir=" + empty;
  for (const std::string& layer : layers) data += ":" + layer;
  if (options.user_namespace) data += ",userxattr";
  return data + SelinuxMountData(options.selinux_context);
}

OverlayView MakeOverlayView(const std::string& fuse_mount, const std::string& scratch,
                            const ViewOptions& options) {
  const FileDescriptor fuse_root = OpenDirectory(fuse_mount, ErrorKind::kSystem);
  return MountOverlay({DescriptorPath(fuse_root)}, fuse_mount, scratch, options);
}

OverlayView MakeMergedView(const std::vector<FileDescriptor>& layers, const std::string& scratch,
                           const ViewOptions& options) {
  std::vector<std::string> paths;
  for (const FileDescriptor& layer : layers) paths.push_back(DescriptorPath(layer));
  ViewOptions whole = options;
  whole.slot.clear();
  return MountOverlay(paths, options.image, scratch, whole);
}

void MoveView(const FileDescriptor& view, const FileDescriptor& target, const std::string& name) {
  if (move_mount(view.get(), "", target.get(), "",
                 MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
    throw SystemError(ErrorKind::kMountPoint, errno, "cannot mount the view here").WithPath(name);
  }
}

void PlaceOverlayView(const std::string& fuse_mount, const std::string& target,
                      const ViewOptions& options) {
  const FileDescriptor directory = OpenDirectory(target, ErrorKind::kMountPoint);
  MoveView(MakeOverlayView(fuse_mount, target, options).mount, directory, target);
}

}  // namespace firn
