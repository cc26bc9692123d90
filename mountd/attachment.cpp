#include "mountd/attachment.h"

#include <fcntl.h>
#include <sys/mount.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "mountd/fuse_mount.h"
#include "mountd/log.h"
#include "mountd/mount_table.h"
#include "mountd/private_mounts.h"

namespace firn {
namespace {

// A clone, where one may be made, so that the mount itself is not busy as long as the pusher is.
FileDescriptor OpenForPusher(const std::string& fuse_mount) {
  FileDescriptor root(
      open_tree(AT_FDCWD, fuse_mount.c_str(), OPEN_TREE_CLONE | static_cast<unsigned>(O_CLOEXEC)));
  if (!root.valid()) {
    root = FileDescriptor(open(fuse_mount.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  return root;
}

}  // namespace

std::unique_ptr<Attachment> Attachment::Mount(const std::string& target,
                                              const AttachOptions& options) {
  std::string reason;
  if (options.view != ViewKind::kDirect) {
    if (MayMount()) {
      try {
        return MountOverlay(target, options);
      } catch (const Error& error) {
        // What the kernel refuses for an overlay it may allow for FUSE alone.
        if (options.view || error.kind() != ErrorKind::kSystem) throw;
        reason = error.message();
      }
    } else {
      reason = "an overlay view takes CAP_SYS_ADMIN";
      if (options.view) {
        throw Error(ErrorKind::kSystem, reason,
                    "Give --view direct, or use 'firn run', which makes one in a user namespace.");
      }
    }
  }
  std::unique_ptr<Attachment> attachment = MountDirect(target, options);
  attachment->view_reason_ = std::move(reason);
  return attachment;
}

std::unique_ptr<Attachment> Attachment::Serve(FileDescriptor fuse, PusherPlace place,
                                              const AttachOptions& options) {
  const ViewKind view = options.view.value_or(ViewKind::kDirect);
  std::unique_ptr<Attachment> attachment(new Attachment(view));
  place.above_image = view == ViewKind::kOverlay;
  options.start(std::move(fuse), place.above_image ? RootLayout::kSlots : RootLayout::kImageIsRoot);
  if (place.root.valid()) RaiseReadAhead("/proc/self/fd/" + std::to_string(place.root.get()));
  attachment->place_ = std::move(place);
  return attachment;
}

std::unique_ptr<Attachment> Attachment::MountDirect(const std::string& target,
                                                    const AttachOptions& options) {
  std::unique_ptr<Attachment> attachment(new Attachment(ViewKind::kDirect));
  const FuseMountOptions mount_options{.source = options.image,
                                       .selinux_context = options.selinux_context};
  FileDescriptor fuse;
  if (MayMount()) {
    fuse = OpenFuseDevice();
    MountFuse(fuse.get(), target, mount_options);
  } else {
    fuse = MountThroughFusermount(target, mount_options);
  }
  attachment->TakeMount(target);
  options.start(std::move(fuse), RootLayout::kImageIsRoot);
  RaiseReadAhead(target);
  attachment->place_ = {.root = OpenForPusher(target), .user_namespace = {}};
  return attachment;
}

std::unique_ptr<Attachment> Attachment::MountOverlay(const std::string& target,
                                                     const AttachOptions& options) {
  std::unique_ptr<Attachment> attachment(new Attachment(ViewKind::kOverlay));
  const FileDescriptor directory = OpenFile(target, O_PATH | O_DIRECTORY, ErrorKind::kMountPoint);
  FileDescriptor fuse = OpenFuseDevice();
  // The FUSE mount and the overlay stand in a namespace of their own, at the target's place: the
  // clone that is moved out keeps them alive, and unmounting that clone ends everything.
  PrivateMounts mounts;
  mounts.Run([&] {
    MountFuse(fuse.get(), target,
              {.source = options.image, .selinux_context = options.selinux_context});
  });
  options.start(std::move(fuse), RootLayout::kSlots);
  FileDescriptor view;
  FileDescriptor fuse_root;
  mounts.Run([&] {
    RaiseReadAhead(target);
    fuse_root = OpenForPusher(target);
    view = MakeOverlayView(target, target,
                           {.image = options.image,
                            .user_namespace = InUserNamespace(),
                            .selinux_context = options.selinux_context})
               .mount;
  });
  MoveView(view, directory, target);
  attachment->TakeMount(target);
  attachment->place_ = {.root = std::move(fuse_root), .above_image = true, .user_namespace = {}};
  return attachment;
}

Attachment::~Attachment() {
  if (target_.empty()) return;
  try {
    if (Unmount() == Unmounted::kCovered) {
      LogWarning("{}: another mount covers the image, which stays mounted without firnd", target_);
    }
  } catch (const std::exception& error) {  // a destructor has nobody to tell but the log
    LogError("cannot clean up: {}", error.what());
  }
}

void Attachment::TakeMount(const std::string& target) {
  const std::optional<MountEntry> entry = FindMount(ReadMountTable(), target);
  if (!entry || !entry->IsFirn()) {
    throw Error(ErrorKind::kMountPoint, "expected the image to be mounted, found it gone")
        .WithPath(target);
  }
  target_ = target;
  mount_id_ = entry->id;
}

Attachment::Unmounted Attachment::Unmount() {
  const std::vector<MountEntry> table = ReadMountTable();
  const std::optional<MountEntry> top = FindMount(table, target_);
  if (!top || top->id != mount_id_) {
    const bool is_covered = std::any_of(
        table.begin(), table.end(), [this](const auto& entry) { return entry.id == mount_id_; });
    return is_covered ? Unmounted::kCovered : Unmounted::kGone;
  }
  if (UnmountTarget(target_, UnmountMode::kRefuseBusy)) return Unmounted::kGone;
  UnmountTarget(target_, UnmountMode::kLazy);
  return Unmounted::kInUse;
}

}  // namespace firn
