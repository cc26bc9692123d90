#include "mountd/view_maker.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <list>
#include <memory>
#include <set>
#include <utility>

#include "format/error.h"

namespace firn {
namespace {

void MakePoolDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0) return;
  throw SystemError(ErrorKind::kSystem, errno, "cannot make a directory").WithPath(path);
}

// Makes `directory` the root of the calling thread's mount namespace, where nothing but /proc and
// /sys is left of the host: what the host unmounts would live on in here as long as firnd does.
// False where the kernel refuses that (an initramfs cannot be left).
bool LeaveHostMounts(const std::string& directory) {
  for (const std::string& name : {std::string("/proc"), std::string("/sys")}) {
    MakePoolDirectory(directory + name);
    if (mount(name.c_str(), (directory + name).c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) {
      return false;
    }
  }
  // Stacked on the new root, the old one is what "." names until it is gone: pivot_root(2).
  return chdir(directory.c_str()) == 0 && syscall(SYS_pivot_root, ".", ".") == 0 &&
         umount2(".", MNT_DETACH) == 0 && chdir("/") == 0;
}

FileDescriptor CloneTree(const std::string& path) {
  FileDescriptor clone(
      open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | static_cast<unsigned>(O_CLOEXEC)));
  if (clone.valid()) return clone;
  throw SystemError(ErrorKind::kSystem, errno, "cannot clone a mount",
                    "It takes Linux 5.2 or later; --no-daemon does without.")
      .WithPath(path);
}

// A detached mount at a directory of its own, while this object lives.
class PlacedLayer {
 public:
  PlacedLayer(const FileDescriptor& mount, std::string path) : path_(std::move(path)) {
    MakePoolDirectory(path_);
    try {
      MoveView(mount, OpenFile(path_, O_PATH | O_DIRECTORY, ErrorKind::kSystem), path_);
    } catch (const Error&) {
      rmdir(path_.c_str());
      throw;
    }
  }
  ~PlacedLayer() {
    umount2(path_.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
    rmdir(path_.c_str());
  }
  PlacedLayer(const PlacedLayer&) = delete;
  PlacedLayer& operator=(const PlacedLayer&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The watches that an inotify descriptor has, as proc(5) lists them.
std::set<int> LiveWatches(int inotify) {
  std::ifstream info("/proc/self/fdinfo/" + std::to_string(inotify));
  std::set<int> alive;
  constexpr std::string_view kPrefix = "inotify wd:";
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with(kPrefix))
      alive.insert(std::stoi(line.substr(kPrefix.size()), nullptr, 16));
  }
  return alive;
}

}  // namespace

ViewMaker::ViewMaker(const std::string& directory)
    : directory_(directory),
      done_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      inotify_(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
  if (!done_fd_.valid() || !inotify_.valid()) {
    throw SystemError(ErrorKind::kSystem, errno, "cannot watch the views of a pool",
                      "The limit fs.inotify.max_user_instances may be too low.");
  }
  mounts_.Run([this] {
    if (mount("firn", directory_.c_str(), "ramfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") !=
        0) {
      throw SystemError(ErrorKind::kSystem, errno, "cannot mount a ramfs for the pool")
          .WithPath(directory_);
    }
    for (const char* name : {"/fuse", "/scratch", "/views"}) MakePoolDirectory(directory_ + name);
    if (LeaveHostMounts(directory_)) directory_.clear();
  });
  namespace_ = mounts_.OpenNamespace();
  thread_ = std::thread([this] { Work(); });
}

ViewMaker::ViewMaker(Left left)
    : directory_(std::move(left.directory)),
      done_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      inotify_(std::move(left.inotify)),
      mounts_(left.mount_namespace),
      namespace_(std::move(left.mount_namespace)),
      watches_(std::move(left.watches)) {
  if (!done_fd_.valid()) {
    throw SystemError(ErrorKind::kSystem, errno, "cannot watch the views of a pool");
  }
  // The end of a view may have been read by the keeper before, who did not come to note it.
  const std::set<int> alive = LiveWatches(inotify_.get());
  std::erase_if(watches_, [&](const auto& watch) { return !alive.contains(watch.first); });
  thread_ = std::thread([this] { Work(); });
}

ViewMaker::~ViewMaker() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void ViewMaker::MountPool(const FileDescriptor& fuse, const FuseMountOptions& options) {
  mounts_.Run([&] { MountFuse(fuse.get(), directory_ + "/fuse", options); });
}

void ViewMaker::RaisePoolReadAhead() {
  mounts_.Run([this] { RaiseReadAhead(directory_ + "/fuse"); });
}

std::string ViewMaker::ViewPath(SlotNumber slot) const {
  return directory_ + "/views/" + SlotName(slot);
}

void ViewMaker::MakeView(SlotNumber slot, const std::string& image, const std::string& context,
                         Done done) {
  Post(
      [this, slot, image, context] {
        const std::string fuse = directory_ + "/fuse";
        const OverlayView view = MakeOverlayView(fuse, directory_ + "/scratch",
                                                 {.image = image,
                                                  .user_namespace = InUserNamespace(),
                                                  .selinux_context = context,
                                                  .slot = SlotName(slot),
                                                  .inotify = inotify_.get()});
        KeepView(slot, view);
        return CloneTree(fuse + "/" + SlotName(slot));
      },
      std::move(done));
}

void ViewMaker::KeepView(SlotNumber slot, const OverlayView& view) {
  {
    const std::lock_guard lock(mutex_);
    watches_[view.watch] = slot;
  }
  const std::string path = ViewPath(slot);
  MakePoolDirectory(path);
  MoveView(view.mount, OpenFile(path, O_PATH | O_DIRECTORY, ErrorKind::kSystem), path);
}

void ViewMaker::MakeStackView(SlotNumber slot, std::vector<FileDescriptor> layers,
                              const std::string& image, const std::string& context, Done done) {
  const auto shared = std::make_shared<std::vector<FileDescriptor>>(std::move(layers));
  Post(
      [this, slot, shared, image, context] {
        return MakeStack(slot, *shared,
                         {.image = image,
                          .user_namespace = InUserNamespace(),
                          .selinux_context = context,
                          .inotify = inotify_.get()});
      },
      std::move(done));
}

FileDescriptor ViewMaker::MakeStack(SlotNumber slot, const std::vector<FileDescriptor>& layers,
                                    const ViewOptions& options) {
  // The kernel takes layers of an overlay from the caller's mount namespace alone.
  std::list<PlacedLayer> placed;
  std::vector<FileDescriptor> topmost_first;
  for (size_t i = layers.size(); i-- > 0;) {
    placed.emplace_back(layers[i], ViewPath(slot) + "-layer-" + std::to_string(i));
    topmost_first.push_back(
        OpenFile(placed.back().path(), O_PATH | O_DIRECTORY, ErrorKind::kSystem));
  }
  KeepView(slot, MakeMergedView(topmost_first, directory_ + "/scratch", options));
  return FileDescriptor();
}

void ViewMaker::CloneView(SlotNumber slot, Done done) {
  Post([this, slot] { return CloneTree(ViewPath(slot)); }, std::move(done));
}

void ViewMaker::CloneSlot(SlotNumber slot, Done done) {
  Post([this, slot] { return CloneTree(directory_ + "/fuse/" + SlotName(slot)); }, std::move(done));
}

void ViewMaker::DropView(SlotNumber slot, Done done) {
  Post(
      [this, slot] {
        umount2(ViewPath(slot).c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
        rmdir(ViewPath(slot).c_str());
        return FileDescriptor();
      },
      std::move(done));
}

std::map<int, SlotNumber> ViewMaker::watches() {
  const std::lock_guard lock(mutex_);
  return watches_;
}

void ViewMaker::Post(std::function<FileDescriptor()> work, Done done) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back({std::move(work), std::move(done)});
  }
  changed_.notify_all();
}

void ViewMaker::Work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return ending_ || !tasks_.empty(); });
    if (ending_) return;
    Task task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    Result result{std::move(task.done), FileDescriptor(), nullptr};
    try {
      mounts_.Run([&] { result.view = task.work(); });
    } catch (const std::exception&) {
      result.error = std::current_exception();  // for Deliver()
    }
    lock.lock();
    results_.push_back(std::move(result));
    const uint64_t one = 1;
    // It cannot fail but by 2^64 results that nobody took.
    [[maybe_unused]] const ssize_t written = write(done_fd_.get(), &one, sizeof one);
  }
}

void ViewMaker::Deliver() {
  uint64_t count = 0;
  if (read(done_fd_.get(), &count, sizeof count) < 0) return;
  std::vector<Result> results;
  {
    const std::lock_guard lock(mutex_);
    results.swap(results_);
  }
  for (Result& result : results) result.done(std::move(result.view), result.error);
}

std::vector<SlotNumber> ViewMaker::TakeGone() {
  std::vector<SlotNumber> gone;
  alignas(inotify_event) std::array<char, 4096> events;
  for (;;) {
    const ssize_t got = read(inotify_.get(), events.data(), events.size());
    if (got <= 0) return gone;
    const std::lock_guard lock(mutex_);
    for (ssize_t at = 0; at < got;) {
      inotify_event event;
      std::memcpy(&event, events.data() + at, sizeof event);
      at += static_cast<ssize_t>(sizeof event + event.len);
      const auto found = watches_.find(event.wd);
      if ((event.mask & IN_UNMOUNT) == 0 || found == watches_.end()) continue;
      gone.push_back(found->second);
      watches_.erase(found);
    }
  }
}

}  // namespace firn
