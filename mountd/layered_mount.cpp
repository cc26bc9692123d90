#include "mountd/layered_mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "format/error.h"
#include "mountd/config.h"
#include "mountd/fuse_mount.h"
#include "mountd/private_mounts.h"

namespace firn {
namespace {

// In a private namespace, where the mount point itself has room for all that the view is made of.
class Workplace {
 public:
  explicit Workplace(const std::string& directory) : directory_(directory) {
    mounts_.Run([&] {
      if (mount("firn", directory.c_str(), "ramfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                "mode=0700") != 0) {
        throw SystemError(ErrorKind::kSystem, errno, "cannot mount a ramfs to make the view in")
            .WithPath(directory);
      }
    });
  }

  // Has that image served there.
  SessionAddress Show(const JobImage& image, const FuseMountOptions& mount_options,
                      const LaunchOptions& launch) {
    const std::string path = PathOf(layers_.size());
    JobMount mounted;
    mounted.fuse = OpenFuseDevice();
    mounts_.Run([&] {
      MakeDirectory(path);
      MountFuse(mounted.fuse.get(), path, mount_options);
      mounted.root = OpenFile(path, O_PATH | O_DIRECTORY, ErrorKind::kSystem);
    });
    SessionAddress session = LaunchSessionOn(mounted, image.fd, image.name, directory_, launch);
    layers_.insert(layers_.begin(), std::move(mounted.root));
    return session;
  }

  FileDescriptor Merge(const ViewOptions& options) {
    FileDescriptor view;
    mounts_.Run([&] {
      const std::string scratch = PathOf(layers_.size());
      MakeDirectory(scratch);
      view = MakeMergedView(layers_, scratch, options).mount;
    });
    return view;
  }

 private:
  std::string PathOf(size_t index) const { return directory_ + "/" + std::to_string(index); }

  static void MakeDirectory(const std::string& path) {
    if (mkdir(path.c_str(), 0700) == 0) return;
    throw SystemError(ErrorKind::kSystem, errno, "cannot make a directory").WithPath(path);
  }

  const std::string directory_;
  PrivateMounts mounts_;
  std::vector<FileDescriptor> layers_;  // the topmost first
};

}  // namespace

SessionAddress MountLayers(const std::vector<JobImage>& images, const std::string& directory,
                           const LaunchOptions& options) {
  const FileDescriptor target = OpenFile(directory, O_PATH | O_DIRECTORY, ErrorKind::kMountPoint);
  const std::string context = PermittedContext(LoadConfig(options.config).selinux_context);
  LaunchOptions launch = options;
  launch.view = ViewChoice::kDirect;  // of each alone: the overlay is theirs together
  launch.for_everybody = true;
  Workplace workplace(directory);
  SessionAddress session;
  for (const JobImage& image : images) {
    session = workplace.Show(image, {.source = image.name, .selinux_context = context}, launch);
  }
  const FileDescriptor view = workplace.Merge({.image = images.back().name,
                                               .user_namespace = InUserNamespace(),
                                               .selinux_context = context});
  MoveView(view, target, directory);
  session.view = ViewKind::kOverlay;
  return session;
}

}  // namespace firn
