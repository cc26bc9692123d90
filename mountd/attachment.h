#ifndef FIRN_MOUNTD_ATTACHMENT_H_
#define FIRN_MOUNTD_ATTACHMENT_H_

#include <memory>
#include <optional>
#include <string>

#include "format/image.h"
#include "mountd/prefetch.h"
#include "mountd/read_ahead.h"
#include "mountd/session.h"
#include "mountd/tree.h"
#include "mountd/view.h"

namespace firn {

struct AttachOptions {
  std::optional<ViewKind> view;  // absent: overlay where it works, else direct
  ServeOptions serve;
  // The pusher's; where given, the image's profile is prefetched.
  Prefetch* prefetch = nullptr;
};

// An image that is served, and mounted at a directory (or by whoever gave the FUSE descriptor).
// To be used by one thread.
class Attachment {
 public:
  // Mounts and serves the image at `target`, a path as CheckMountPoint() gives it. Throws kSystem
  // or kMountPoint, and leaves nothing mounted then.
  static std::unique_ptr<Attachment> Mount(const Image& image, const std::string& target,
                                           const AttachOptions& options);
  // Serves a mount that somebody else made and takes away; `options.view` says what for, `place`
  // is where the pusher finds it (needed with options.prefetch only).
  static std::unique_ptr<Attachment> Serve(const Image& image, FileDescriptor fuse,
                                           PusherPlace place, const AttachOptions& options);

  // Takes the mount at the target away, if that is still there, and ends the session: who still
  // uses it sees ENOTCONN.
  ~Attachment();
  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;

  const Session& session() const { return *session_; }
  const Tree& tree() const { return tree_; }
  ViewKind view() const { return view_; }
  // Why the view is direct though nobody asked for that; empty otherwise.
  const std::string& view_reason() const { return view_reason_; }

  enum class Unmounted { kGone, kInUse, kCovered };
  // Takes the mount at the target away, lazily where it is busy (kInUse). Where another mount
  // covers it, nothing is done. Throws kMountPoint or kSystem.
  Unmounted Unmount();

 private:
  Attachment(const Image& image, RootLayout layout, ViewKind view, unsigned threads)
      : read_ahead_(image, threads), tree_(image, layout, &read_ahead_), view_(view) {}

  static std::unique_ptr<Attachment> MountDirect(const Image& image, const std::string& target,
                                                 const AttachOptions& options);
  static std::unique_ptr<Attachment> MountOverlay(const Image& image, const std::string& target,
                                                  const AttachOptions& options);

  void StartSession(FileDescriptor fuse, const AttachOptions& options);
  void StartPrefetch(PusherPlace place, const AttachOptions& options);
  // From here on the mount at the target is ours to unmount.
  void TakeMount(const std::string& target);

  ReadAhead read_ahead_;
  const Tree tree_;
  std::unique_ptr<Session> session_;
  const ViewKind view_;
  std::string view_reason_;
  std::string target_;     // empty: not ours to unmount
  uint64_t mount_id_ = 0;  // of the mount at the target
};

}  // namespace firn

#endif  // FIRN_MOUNTD_ATTACHMENT_H_
