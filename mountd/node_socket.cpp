#include "mountd/node_socket.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "mountd/fuse_mount.h"
#include "mountd/job_identity.h"
#include "mountd/job_sockets.h"
#include "mountd/node_protocol.h"

namespace firn {
namespace {

constexpr int kBacklog = 256;

// Waits for one who has it where `wait` says so; one that ends takes its lock file away.
FileDescriptor TakeLock(const RuntimeDirectory& directory, const std::string& name, bool wait) {
  const std::string path = directory.path() + "/" + name;
  const int operation = LOCK_EX | (wait ? 0 : LOCK_NB);
  for (;;) {
    FileDescriptor lock(
        openat(directory.fd(), name.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    const bool is_locked = lock.valid() && flock(lock.get(), operation) == 0;
    if (!is_locked && (!lock.valid() || errno != EWOULDBLOCK)) {
      throw SystemError(ErrorKind::kSystem, errno, "cannot lock the node's socket").WithPath(path);
    }
    if (!is_locked) {
      throw Error(ErrorKind::kSystem, "another firnd serves this node already",
                  "'firn status' shows it. There is nothing to start.")
          .WithPath(path);
    }
    if (IsStillThere(directory, name, lock)) return lock;
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

NodeSocket::NodeSocket(const std::string& job, FileDescriptor lock, FileDescriptor listener)
    : directory_(RuntimeDirectory::MakeOwn()),
      is_system_(IsSystem() && job.empty()),
      name_(job.empty() ? kNodeSocket : JobFile(job, kSocketSuffix)),
      lock_name_(job.empty() ? kNodeLock : JobFile(job, kLockSuffix)),
      path_(directory_.path() + "/" + name_),
      lock_(lock.valid() && IsStillThere(directory_, lock_name_, lock)
                ? std::move(lock)
                : TakeLock(directory_, lock_name_, /*wait=*/!job.empty())),
      listener_(std::move(listener)) {
  if (is_system_) fchmod(directory_.fd(), 0711);
  if (listener_.valid() && faccessat(directory_.fd(), name_.c_str(), F_OK, 0) == 0) return;
  Listen();
}

void NodeSocket::Listen() {
  listener_ = FileDescriptor(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  unlinkat(directory_.fd(), name_.c_str(), 0);  // of one that crashed, as the lock is ours
  const sockaddr_un address = SocketAddress(directory_.ShortPathOf(name_));
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
  unlinkat(directory_.fd(), name_.c_str(), 0);
  unlinkat(directory_.fd(), lock_name_.c_str(), 0);
  if (is_system_) fchmod(directory_.fd(), 0700);
  directory_.RemoveIfUnused();
}

FileDescriptor ConnectToNode() {
  FileDescriptor system = ConnectAs(std::string(kSystemDirectory) + "/" + kNodeSocket, 0);
  if (system.valid()) return system;
  for (const RuntimeDirectory& directory : RuntimeDirectory::FindAll()) {
    if (directory.owner() != geteuid()) continue;
    FileDescriptor own = ConnectToNodeIn(directory, kNodeSocket);
    if (own.valid()) return own;
    return ConnectToNodeIn(directory, JobFile(OwnJobKey(), kSocketSuffix));
  }
  return FileDescriptor();
}

FileDescriptor ConnectToNodeIn(const RuntimeDirectory& directory, const std::string& name) {
  return ConnectAs(directory.ShortPathOf(name), directory.owner());
}

}  // namespace firn
