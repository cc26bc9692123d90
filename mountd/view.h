#ifndef FIRN_MOUNTD_VIEW_H_
#define FIRN_MOUNTD_VIEW_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/file.h"

namespace firn {

// The entry in the FUSE root of a session of one image that is shown through a view: the image's
// root, in slot 1.
inline constexpr std::string_view kOnlySlot = "1";

// How an image is shown: kOverlay, a read-only overlayfs over the FUSE mount, which answers ioctls
// in the kernel, so that a warm program sends no request at all; or kDirect, the FUSE mount itself.
enum class ViewKind { kOverlay, kDirect };

std::string_view ToString(ViewKind view);

// What somebody asks for; kAuto: an overlay where it works, else direct.
enum class ViewChoice { kAuto, kOverlay, kDirect };

std::string_view ToString(ViewChoice choice);
// Nothing for other text than "auto", "overlay" and "direct".
std::optional<ViewChoice> ParseViewChoice(std::string_view name);
// Nothing for kAuto.
std::optional<ViewKind> KindOf(ViewChoice choice);

struct ViewOptions {
  std::string image;                 // its path; the mount table shows "firn:PATH" as source
  bool user_namespace = false;       // the caller is not in the initial user namespace
  std::string selinux_context = {};  // as for FuseMountOptions
  std::string slot{kOnlySlot};       // the entry of the FUSE root that is shown
  int inotify = -1;                  // where to watch the view; -1: nowhere
};

// The data of mount(2) for the overlay; the layers are the paths of an empty directory and of what
// is shown, the topmost first.
std::string OverlayMountData(const std::string& empty, const std::vector<std::string>& layers,
                             const ViewOptions& options);

// A view, and how to learn that nobody has it any more.
struct OverlayView {
  FileDescriptor mount;  // detached
  int watch = -1;        // with ViewOptions::inotify: gets IN_UNMOUNT when the last mount is gone
};

// Makes the view of the session mounted at `fuse_mount` (whose FUSE root has the entry
// options.slot) as a detached mount that MoveView() can place. It keeps the session alive by
// itself: `fuse_mount` may be detached (umount2, MNT_DETACH) afterwards. The session must be
// served by another process or thread meanwhile.
//
// `scratch` is any directory; during the call something is mounted there, in the caller's mount
// namespace. Throws kSystem where the kernel refuses.
OverlayView MakeOverlayView(const std::string& fuse_mount, const std::string& scratch,
                            const ViewOptions& options);

// An image may be a layer over at most so many others.
inline constexpr size_t kMostBases = 15;

// The same of several directories, the topmost first: what a layer has hides what those below it
// have, and its whiteouts too. The directories are mounted in the caller's mount namespace, and
// show the images without overlays of their own, which would swallow the whiteouts. Of `options`
// the slot is not looked at.
OverlayView MakeMergedView(const std::vector<FileDescriptor>& layers, const std::string& scratch,
                           const ViewOptions& options);

// Mounts a detached mount at the directory `target` (a descriptor, may be O_PATH) in the caller's
// mount namespace. `name` is its path, for messages. Throws kMountPoint.
void MoveView(const FileDescriptor& view, const FileDescriptor& target, const std::string& name);

// Both steps, with `target` as scratch: for a private mount namespace, where nobody looks.
// Throws kSystem where the kernel refuses the view (nothing is left mounted at `target`) and
// kMountPoint where it cannot be placed.
void PlaceOverlayView(const std::string& fuse_mount, const std::string& target,
                      const ViewOptions& options);

}  // namespace firn

#endif  // FIRN_MOUNTD_VIEW_H_
