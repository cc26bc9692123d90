#include "mountd/job_view.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <memory>
#include <sstream>
#include <utility>

#include "format/error.h"
#include "mountd/config.h"
#include "mountd/fuse_mount.h"
#include "mountd/namespace.h"
#include "mountd/outside_launcher.h"
#include "mountd/prefix_place.h"

namespace firn {
namespace {

// The working directory before the views were placed.
class WorkingDirectory {
 public:
  WorkingDirectory() : fd_(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)) {
    const std::unique_ptr<char, decltype(&free)> path(getcwd(nullptr, 0), &free);
    // One that was removed has no path; it can only be kept as it is.
    if (path != nullptr && *path == '/') path_ = path.get();
  }

  // Enters the directory that now has its path, where one of `covered` covers the old one.
  void Restore(const std::vector<std::string>& covered) const {
    if (path_.empty()) {
      if (fd_.valid() && fchdir(fd_.get()) == 0) return;
      throw SystemError(ErrorKind::kSystem, errno, "cannot return to the working directory");
    }
    const bool hidden = std::any_of(covered.begin(), covered.end(), [this](const std::string& at) {
      return IsAtOrBelow(path_, at);
    });
    if (!hidden || chdir(path_.c_str()) == 0) return;
    throw SystemError(ErrorKind::kMountPoint, errno,
                      "the working directory is below an image's prefix, and the image has no such "
                      "directory",
                      "Start the job from a directory that it will still see.")
        .WithPath(path_);
  }

 private:
  FileDescriptor fd_;
  std::string path_;
};

// A directory to mount the FUSE file system at until the view of it is placed; it has nothing to do
// with `target`.
std::string FindScaffold(const std::string& target) {
  for (const char* candidate :
       {"/sys", "/mnt", "/media", "/srv", "/opt", "/home", "/tmp", "/var"}) {
    struct stat status;
    if (lstat(candidate, &status) != 0 || !S_ISDIR(status.st_mode)) continue;
    if (!IsAtOrBelow(target, candidate) && !IsAtOrBelow(candidate, target)) return candidate;
  }
  throw Error(ErrorKind::kSystem, "found no directory to build the view at, expected /sys",
              "Mount /sys, or use --view direct.");
}

// The FUSE mount is unmounted on every way out; views of it live on.
class Scaffold {
 public:
  Scaffold(const FileDescriptor& fuse, const std::string& target, const FuseMountOptions& options)
      : path_(FindScaffold(target)) {
    MountFuse(fuse.get(), path_, options);
  }
  ~Scaffold() { umount2(path_.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW); }
  Scaffold(const Scaffold&) = delete;
  Scaffold& operator=(const Scaffold&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

void BindDirectView(const std::string& fuse_mount, const std::string& target) {
  const std::string image = fuse_mount + "/" + std::string(kOnlySlot);
  if (mount(image.c_str(), target.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    throw SystemError(ErrorKind::kMountPoint, errno, "cannot mount the view here").WithPath(target);
  }
}

// How images are shown, as the caller has it and where it leaves that open the configuration.
struct ViewSettings {
  ViewChoice view = ViewChoice::kAuto;
  std::string selinux_context;
};

ViewSettings MakeViewSettings(const LaunchOptions& options) {
  const Config config = LoadConfig(options.config);
  return {.view = options.view.value_or(config.view), .selinux_context = config.selinux_context};
}

void PlaceView(const std::string& fuse_mount, const std::string& target, const JobImage& image,
               const ViewSettings& settings) {
  try {
    PlaceOverlayView(fuse_mount, target,
                     {.image = image.name,
                      .user_namespace = InUserNamespace(),
                      .selinux_context = PermittedContext(settings.selinux_context)});
  } catch (const Error& error) {
    // Kernels before 5.11 refuse overlays in a user namespace. The view works without.
    if (settings.view != ViewChoice::kAuto || error.kind() != ErrorKind::kSystem) throw;
    BindDirectView(fuse_mount, target);
  }
}

// firnd and its pusher, outside of the job's namespaces, reach the mount through these. A recording
// is to show what the command needs, with no read-ahead but the kernel's own.
void OpenForFirnd(const std::string& fuse_mount, const LaunchOptions& options, JobMount& job) {
  if (options.record_fd >= 0) return;
  job.root = FileDescriptor(open(fuse_mount.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (InUserNamespace()) {
    job.user_namespace = FileDescriptor(open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC));
  }
}

void ShowImage(size_t index, const JobImage& image, const std::string& target,
               const LaunchOptions& options, const ViewSettings& settings,
               OutsideLauncher& launcher) {
  // Opened here, as the kernel lets a descriptor be mounted only in the user namespace in which it
  // was opened. Closed as soon as firnd has it: were it the last one, who reads from the mount
  // would wait for ever.
  JobMount job;
  job.fuse = OpenFuseDevice();
  const FuseMountOptions mount_options{
      .source = image.name,
      .allow_other = true,
      .selinux_context = PermittedContext(settings.selinux_context)};
  if (settings.view == ViewChoice::kDirect) {
    MountFuse(job.fuse.get(), target, mount_options);
    OpenForFirnd(target, options, job);
    launcher.Start(index, job);
    return;
  }
  const Scaffold scaffold(job.fuse, target, mount_options);
  OpenForFirnd(scaffold.path(), options, job);
  launcher.Start(index, job);
  job = {};
  PlaceView(scaffold.path(), target, image, settings);
}

// Would the last of `places`, those of the first images, hide one of the others?
void CheckHidesNone(const std::vector<JobImage>& images, const std::vector<std::string>& places) {
  const size_t last = places.size() - 1;
  for (size_t i = 0; i < last; ++i) {
    if (images[last].is_layer && places[i] == places[last]) continue;
    if (!IsAtOrBelow(places[i], places[last])) continue;
    throw Error(ErrorKind::kUsage,
                "its prefix " + images[last].prefix + " would hide " + images[i].name +
                    ", shown at " + images[i].prefix,
                places[i] == places[last] ? "Give one of them another place with --prefix."
                                          : "Name the image with the shorter prefix first.")
        .WithPath(images[last].name);
  }
}

// Has PATH such a file, executable or not? True for a name with a slash, which PATH is not asked
// for.
bool IsInPath(const std::string& program) {
  if (program.find('/') != std::string::npos) return true;
  const char* path = getenv("PATH");
  std::istringstream directories(path != nullptr ? path : "/bin:/usr/bin");
  for (std::string directory; std::getline(directories, directory, ':');) {
    if (directory.empty()) directory = ".";
    if (access((directory + "/" + program).c_str(), F_OK) == 0) return true;
  }
  return false;
}

SessionAddress LaunchFor(const JobImage& image, const JobMount& job, const LaunchOptions& options,
                         ViewChoice view) {
  LaunchOptions launch = options;
  launch.foreign = image.foreign;
  launch.view = view == ViewChoice::kAuto ? ViewChoice::kOverlay : view;
  return LaunchSessionOn(job, image.fd, image.name, image.prefix, launch);
}

// The images that were shown at one prefix, the last first.
class Layers {
 public:
  // To be called for each image in turn, when it is shown.
  void Add(const JobImage& image, const std::string& target) {
    if (!image.is_layer) shown_.clear();
    shown_.insert(shown_.begin(), OpenFile(target, O_PATH | O_DIRECTORY, ErrorKind::kSystem));
  }
  // Covers them by what they show together.
  void Merge(const JobImage& image, const std::string& target, const std::string& context) const {
    if (shown_.size() < 2) return;
    const OverlayView merged = MakeMergedView(
        shown_, FindScaffold(target),
        {.image = image.name, .user_namespace = InUserNamespace(), .selinux_context = context});
    MoveView(merged.mount, OpenFile(target, O_PATH | O_DIRECTORY, ErrorKind::kMountPoint), target);
  }

 private:
  std::vector<FileDescriptor> shown_;
};

// Is it shown together with others?
bool IsLayered(const std::vector<JobImage>& images, size_t index) {
  return images[index].is_layer || !IsTopmost(images, index);
}

// Shows each image at its prefix, in the caller's new namespace: `show` mounts the one of that
// index at the directory.
void PlaceImages(const std::vector<JobImage>& images, const WorkingDirectory& working_directory,
                 const std::function<void(size_t, const std::string&)>& show) {
  PrefixPlacer placer;
  std::vector<std::string> covered;
  for (size_t i = 0; i < images.size(); ++i) {
    covered.push_back(images[i].is_layer ? covered.back() : placer.Ensure(images[i].prefix));
    CheckHidesNone(images, covered);
    show(i, covered.back());
  }
  placer.Seal();
  covered.insert(covered.end(), placer.underlays().begin(), placer.underlays().end());
  working_directory.Restore(covered);
}

}  // namespace

bool IsTopmost(const std::vector<JobImage>& images, size_t index) {
  return index + 1 == images.size() || !images[index + 1].is_layer;
}

void CheckPrefixes(const std::vector<JobImage>& images) {
  std::vector<std::string> prefixes;
  for (const JobImage& image : images) {
    CheckPrefix(image.prefix);
    prefixes.push_back(NormalPrefix(image.prefix));
    CheckHidesNone(images, prefixes);
  }
}

void EnterJobView(const std::vector<JobImage>& images, const LaunchOptions& options) {
  CheckPrefixes(images);
  const ViewSettings settings = MakeViewSettings(options);
  const WorkingDirectory working_directory;
  // The overlay that merges layers must find their whiteouts, which one of each would swallow.
  const auto settings_of = [&](size_t index) {
    ViewSettings own = settings;
    if (IsLayered(images, index)) own.view = ViewChoice::kDirect;
    return own;
  };
  OutsideLauncher launcher([&](size_t index, const JobMount& job) {
    return LaunchFor(images[index], job, options, settings_of(index).view);
  });
  EnterJobNamespace();

  const std::string context = PermittedContext(settings.selinux_context);
  Layers layers;
  PlaceImages(images, working_directory, [&](size_t i, const std::string& target) {
    ShowImage(i, images[i], target, options, settings_of(i), launcher);
    layers.Add(images[i], target);
    if (IsTopmost(images, i)) layers.Merge(images[i], target, context);
  });
}

std::vector<AttachedView> AttachViews(const std::vector<JobImage>& images, NodeClient& node,
                                      bool prefetch) {
  std::vector<AttachedView> views;
  std::vector<AttachRequest::Below> below;
  for (size_t i = 0; i < images.size(); ++i) {
    const JobImage& image = images[i];
    if (!IsTopmost(images, i)) {
      below.push_back({.image = image.fd.get(), .path = image.name});
      continue;
    }
    views.push_back(node.Attach({.image = image.fd.get(),
                                 .path = image.name,
                                 .foreign = image.foreign,
                                 .prefetch = prefetch,
                                 .name = {},
                                 .below = std::exchange(below, {})}));
  }
  return views;
}

void EnterNodeView(const std::vector<JobImage>& images, const std::vector<AttachedView>& views) {
  CheckPrefixes(images);
  const WorkingDirectory working_directory;
  EnterJobNamespaceIn(views.front().user_namespace);

  size_t next = 0;
  PlaceImages(images, working_directory, [&](size_t i, const std::string& target) {
    if (!IsTopmost(images, i)) return;
    const FileDescriptor place = OpenFile(target, O_PATH | O_DIRECTORY, ErrorKind::kMountPoint);
    MoveView(views[next++].view, place, target);
  });
}

int ExecuteCommand(const std::vector<std::string>& command) {
  std::vector<std::string> arguments = command;
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  execvp(argv[0], argv.data());
  const int error_number = errno;
  // execvp says "permission denied" also where only a directory of PATH was closed to it.
  return error_number == EACCES && !IsInPath(command.front()) ? ENOENT : error_number;
}

}  // namespace firn
