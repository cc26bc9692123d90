#ifndef FIRN_MOUNTD_ATTACHMENT_H_
#define FIRN_MOUNTD_ATTACHMENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "mountd/prefetch.h"
#include "mountd/tree.h"
#include "mountd/view.h"

namespace firn {

// Has a mounted /dev/fuse served, by another process or thread than the caller: it returns when the
// kernel's first request is answered. Throws where that fails.
using StartServing = std::function<void(FileDescriptor fuse, RootLayout layout)>;

struct AttachOptions {
  std::string image;             // its path, for the mount table
  std::optional<ViewKind> view;  // absent: overlay where it works, else direct
  StartServing start;
  std::string selinux_context = {};  // for mounts to be made, as for FuseMountOptions
};

// An image that is mounted at a directory (or by whoever gave the FUSE descriptor). To be used by
// one thread.
class Attachment {
 public:
  // Mounts the image at `target`, a path as CheckMountPoint() gives it, and has it served. Throws
  // kSystem or kMountPoint, and leaves nothing mounted then.
  static std::unique_ptr<Attachment> Mount(const std::string& target, const AttachOptions& options);
  // Has a mount served that somebody else made and takes away; `options.view` says what for,
  // `place` is where the pusher finds it.
  static std::unique_ptr<Attachment> Serve(FileDescriptor fuse, PusherPlace place,
                                           const AttachOptions& options);

  // Takes the mount at the target away, if that is still there.
  ~Attachment();
  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;

  ViewKind view() const { return view_; }
  // Why the view is direct though nobody asked for that; empty otherwise.
  const std::string& view_reason() const { return view_reason_; }

  // The mount for a pusher. Where nobody takes it, it goes with the attachment.
  PusherPlace TakePusherPlace() { return std::move(place_); }

  enum class Unmounted { kGone, kInUse, kCovered };
  // Takes the mount at the target away, lazily where it is busy (kInUse). Where another mount
  // covers it, nothing is done. Throws kMountPoint or kSystem.
  Unmounted Unmount();

 private:
  explicit Attachment(ViewKind view) : view_(view) {}

  static std::unique_ptr<Attachment> MountDirect(const std::string& target,
                                                 const AttachOptions& options);
  static std::unique_ptr<Attachment> MountOverlay(const std::string& target,
                                                  const AttachOptions& options);

  // From here on the mount at the target is ours to unmount.
  void TakeMount(const std::string& target);

  const ViewKind view_;
  std::string view_reason_;
  PusherPlace place_;
  std::string target_;     // empty: not ours to unmount
  uint64_t mount_id_ = 0;  // of the mount at the target
};

}  // namespace firn

#endif  // FIRN_MOUNTD_ATTACHMENT_H_
