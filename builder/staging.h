#ifndef FIRN_BUILDER_STAGING_H_
#define FIRN_BUILDER_STAGING_H_

#include <optional>
#include <string>

#include "builder/temporary_directory.h"
#include "format/file.h"

namespace firn {

// The environment that is being built, at its final prefix, where it can be changed: a mount in the
// mount namespace of the calling process, which must be a private one. What exists is not copied,
// and never written to: changes are kept in a temporary directory, which goes with this object.
class Staging {
 public:
  // A tree over an existing one: an overlay. `shown_name` names the directory in messages. Throws
  // kSystem where the kernel has no such overlay, kInput where other file systems are mounted in
  // the directory, whose files would not be taken.
  Staging(const FileDescriptor& directory, const std::string& shown_name, const std::string& place);
  // An empty tree.
  explicit Staging(const std::string& place);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  // Absolute, without symlinks.
  const std::string& path() const { return place_; }
  // The overlay's upper directory: what was changed, with whiteouts for what was removed, in the
  // way of overlayfs' option userxattr.
  std::string changes() const { return work_.path() + "/upper"; }

 private:
  TemporaryDirectory work_;
  std::string place_;
};

}  // namespace firn

#endif  // FIRN_BUILDER_STAGING_H_
