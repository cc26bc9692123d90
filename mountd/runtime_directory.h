#ifndef FIRN_MOUNTD_RUNTIME_DIRECTORY_H_
#define FIRN_MOUNTD_RUNTIME_DIRECTORY_H_

#include <sys/types.h>
#include <sys/un.h>

#include <optional>
#include <string>
#include <vector>

#include "format/file.h"

namespace firn {

// A directory of mode 0700 (or 0711, for a system's firnd) where the control sockets of one user's
// sessions lie: /run/firn for root, else $XDG_RUNTIME_DIR/firn or /tmp/firn-UID.
class RuntimeDirectory {
 public:
  // The caller's own, made where it is missing, and not removed by others as long as the object
  // lives. Throws kSystem where it cannot be made, or is not the caller's alone.
  static RuntimeDirectory MakeOwn();
  // The same at another path.
  static RuntimeDirectory MakeAt(const std::string& path);

  // Those that exist and whose sessions the caller may see: its own, for root those of every user.
  // What is not one user's alone is left out.
  static std::vector<RuntimeDirectory> FindAll();

  const std::string& path() const { return path_; }
  int fd() const { return fd_.get(); }
  uid_t owner() const { return owner_; }

  // A path of an entry that is short enough for a socket's address, however long path() is.
  std::string ShortPathOf(const std::string& name) const;

  // Removes the directory if it is empty and nobody else that made it holds it. Nothing may be put
  // into it afterwards.
  void RemoveIfUnused() const;

 private:
  RuntimeDirectory(std::string path, FileDescriptor fd, uid_t owner)
      : path_(std::move(path)), fd_(std::move(fd)), owner_(owner) {}

  // Nothing where it is missing or not `owner`'s alone; then `refusal` says why.
  static std::optional<RuntimeDirectory> Open(const std::string& path, uid_t owner,
                                              std::string& refusal);

  // Takes the lock that keeps others from removing it; false where that came too late.
  bool Hold() const;

  std::string path_;
  FileDescriptor fd_;
  uid_t owner_;
};

// The address of a socket at a path, which must be short enough (ShortPathOf()).
sockaddr_un SocketAddress(const std::string& path);

}  // namespace firn

#endif  // FIRN_MOUNTD_RUNTIME_DIRECTORY_H_
