#include "mountd/node_socket.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "mountd/fuse_mount.h"
#include "mountd/node_protocol.h"

namespace firn {
namespace {

constexpr int kBacklog = 256;

// Is the open file still what its name leads to? One that ends takes its lock file away.
bool IsStillThere(const RuntimeDirectory& directory, const FileDescriptor& lock) {
  struct stat held {};
  struct stat found {};
  return fstat(lock.get(), &held) == 0 &&
         fstatat(directory.fd(), kNodeLock, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
         held.st_dev == found.st_dev && held.st_ino == found.st_ino;
}

FileDescriptor TakeLock(const RuntimeDirectory& directory) {
  const std::string path = directory.path() + "/" + kNodeLock;
  for (;;) {
    FileDescriptor lock(
        openat(directory.fd(), kNodeLock, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!lock.valid() || (flock(lock.get(), LOCK_EX | LOCK_NB) != 0 && errno != EWOULDBLOCK)) {
      throw SystemError(ErrorKind::kSystem, errno, "cannot lock the node's socket").WithPath(path);
    }
    if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
      throw Error(ErrorKind::kSystem, "another firnd serves this node already",
                  "'firn status' shows it. There is nothing to start.")
          .WithPath(path);
    }
    if (IsStillThere(directory, lock)) return lock;
  }
}

bool IsSystem() { return geteuid() == 0 && !InUserNamespace(); }

FileDescriptor ConnectAs(const std::string& path, uid_t owner) {
  FileDescriptor fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  const sockaddr_un address = SocketAddress(path);
  if (!fd.valid() ||
      connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return FileDescriptor();
  }
  ucred peer{};
  socklen_t length = sizeof peer;
  const bool is_known = getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0;
  return is_known && peer.uid == owner ? std::move(fd) : FileDescriptor();
}

}  // namespace

NodeSocket::NodeSocket(FileDescriptor lock, FileDescriptor listener)
    : directory_(RuntimeDirectory::MakeOwn()),
      is_system_(IsSystem()),
      path_(directory_.path() + "/" + kNodeSocket),
      lock_(lock.valid() && IsStillThere(directory_, lock) ? std::move(lock)
                                                           : TakeLock(directory_)),
      listener_(std::move(listener)) {
  if (is_system_) fchmod(directory_.fd(), 0711);
  if (listener_.valid() && faccessat(directory_.fd(), kNodeSocket, F_OK, 0) == 0) return;
  Listen();
}

void NodeSocket::Listen() {
  listener_ = FileDescriptor(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  unlinkat(directory_.fd(), kNodeSocket, 0);  // of one that crashed, as the lock is ours
  const sockaddr_un address = SocketAddress(directory_.ShortPathOf(kNodeSocket));
  const mode_t mask = umask(is_system_ ? 0 : 077);
  const bool is_bound =
      listener_.valid() &&
      bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  const int error_number = errno;
  umask(mask);
  if (!is_bound || listen(listener_.get(), kBacklog) != 0) {
    throw SystemError(ErrorKind::kSystem, is_bound ? errno : error_number,
                      "cannot make the node's socket")
        .WithPath(path_);
  }
}

NodeSocket::~NodeSocket() {
  if (is_left_) return;
  unlinkat(directory_.fd(), kNodeSocket, 0);
  unlinkat(directory_.fd(), kNodeLock, 0);
  if (is_system_) fchmod(directory_.fd(), 0700);
  directory_.RemoveIfUnused();
}

FileDescriptor ConnectToNode() {
  FileDescriptor system = ConnectAs(std::string(kSystemDirectory) + "/" + kNodeSocket, 0);
  if (system.valid()) return system;
  for (const RuntimeDirectory& directory : RuntimeDirectory::FindAll()) {
    if (directory.owner() != geteuid()) continue;
    return ConnectAs(directory.ShortPathOf(kNodeSocket), geteuid());
  }
  return FileDescriptor();
}

}  // namespace firn
