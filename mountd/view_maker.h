#ifndef FIRN_MOUNTD_VIEW_MAKER_H_
#define FIRN_MOUNTD_VIEW_MAKER_H_

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "format/file.h"
#include "mountd/fuse_mount.h"
#include "mountd/private_mounts.h"
#include "mountd/tree.h"
#include "mountd/view.h"

namespace firn {

// A mount namespace with the FUSE mount of a pool and the views of its slots, which no path outside
// leads to, and a thread that makes views there: it looks at the FUSE mount, so it may have to wait
// for the worker, which the keeper must never do. To be used by one thread.
class ViewMaker {
 public:
  // Called by Deliver(), with an exception where it failed.
  using Done = std::function<void(FileDescriptor view, std::exception_ptr error)>;

  // `directory` is any directory; in the namespace its contents are covered. Throws kSystem.
  explicit ViewMaker(const std::string& directory);

  // What the next keeper's view maker goes on with.
  struct Left {
    std::string directory;
    FileDescriptor mount_namespace;
    FileDescriptor inotify;
    std::map<int, SlotNumber> watches;
  };
  // Goes on where another one was; views whose last user has gone since are in watches() no more.
  // Throws kSystem.
  explicit ViewMaker(Left left);
  // Waits for what is under way; its mounts go, but for clones that somebody holds.
  ~ViewMaker();
  ViewMaker(const ViewMaker&) = delete;
  ViewMaker& operator=(const ViewMaker&) = delete;

  // Mounts the pool's FUSE file system, to be served from now on. Throws kSystem.
  void MountPool(const FileDescriptor& fuse, const FuseMountOptions& options);
  // What RaiseReadAhead() does, once it is served.
  void RaisePoolReadAhead();

  // Makes the overlay view of a slot, to stay in the namespace until DropView(); gives a detached
  // mount of the slot without overlay, for a pusher.
  // `context` is as for FuseMountOptions.
  void MakeView(SlotNumber slot, const std::string& image, const std::string& context, Done done);
  // The same of what detached mounts of slots without overlay, the lowest first, show together,
  // whichever namespaces they are of. `slot` is a number that no image has; nothing is given.
  void MakeStackView(SlotNumber slot, std::vector<FileDescriptor> layers, const std::string& image,
                     const std::string& context, Done done);
  // A detached mount of the slot's view, for a client.
  void CloneView(SlotNumber slot, Done done);
  // A detached mount of the slot without overlay, for a pusher.
  void CloneSlot(SlotNumber slot, Done done);
  // Takes the view out of the namespace; who has a mount of it keeps it.
  void DropView(SlotNumber slot, Done done);

  // For poll(2): readable when something is done. Then Deliver() calls back.
  int done_fd() const { return done_fd_.get(); }
  void Deliver();

  // For poll(2): readable when nobody has some view any more. Then TakeGone() gives the slots of
  // such views, each as often as it had one.
  int gone_fd() const { return inotify_.get(); }
  std::vector<SlotNumber> TakeGone();

  // The views that somebody has, as inotify_fd() watches them: for a Left.
  std::map<int, SlotNumber> watches();
  const std::string& directory() const { return directory_; }
  int namespace_fd() const { return namespace_.get(); }

 private:
  struct Task {
    std::function<FileDescriptor()> work;
    Done done;
  };
  struct Result {
    Done done;
    FileDescriptor view;
    std::exception_ptr error;
  };

  void Post(std::function<FileDescriptor()> work, Done done);
  void Work();
  // Puts the view of a slot, made with inotify_, where CloneView() finds it.
  void KeepView(SlotNumber slot, const OverlayView& view);
  FileDescriptor MakeStack(SlotNumber slot, const std::vector<FileDescriptor>& layers,
                           const ViewOptions& options);
  std::string ViewPath(SlotNumber slot) const;

  std::string directory_;  // of the mounts, in the namespace
  FileDescriptor done_fd_;
  FileDescriptor inotify_;
  PrivateMounts mounts_;
  FileDescriptor namespace_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> tasks_;
  std::vector<Result> results_;
  std::map<int, SlotNumber> watches_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_VIEW_MAKER_H_
