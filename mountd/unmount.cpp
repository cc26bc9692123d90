#include "mountd/unmount.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <vector>

#include "format/file.h"
#include "mountd/control_client.h"
#include "mountd/fuse_mount.h"
#include "mountd/mount_point.h"
#include "mountd/mount_table.h"
#include "mountd/node_client.h"

namespace firn {
namespace {

constexpr std::chrono::seconds kUnmountTimeout{10};

// The process that serves a mount, held so that its number cannot come to mean another one.
struct Server {
  pid_t pid = 0;
  FileDescriptor process;  // none where it is gone, or hidden from the caller
};

// More than one where a layer is shown with its bases.
std::vector<Server> FindServers(const std::string& target) {
  std::vector<Server> servers;
  const uint64_t here = OwnMountNamespace();
  for (const SessionStatus& session : ListSessions()) {
    if (session.mount_point != target || session.job || session.namespace_id != here) continue;
    StopPrefetch(session);
    servers.push_back(
        {.pid = session.pid,
         .process = FileDescriptor(static_cast<int>(syscall(SYS_pidfd_open, session.pid, 0)))});
  }
  return servers;
}

// An ordinary user's, that root's firnd made for him, only that one can unmount.
bool UnmountThroughNode(const MountEntry& mounted, bool lazy) {
  if (MayMount() || !mounted.source.starts_with(kViewSourcePrefix)) return false;
  std::optional<NodeClient> node = NodeClient::Connect();
  if (!node || !node->is_system()) return false;
  try {
    node->Unmount(mounted.id, lazy);
    return true;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kUsage) throw;
    return false;  // it was not made so
  }
}

bool WaitForEnd(const Server& server) {
  if (!server.process.valid()) return true;
  const auto deadline = std::chrono::steady_clock::now() + kUnmountTimeout;
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd entry{server.process.get(), POLLIN, 0};
    const int ready = poll(&entry, 1, left.count() > 0 ? static_cast<int>(left.count()) : 0);
    if (ready > 0) return true;
    if (ready == 0) return false;
    if (errno != EINTR) throw SystemError(ErrorKind::kInternal, errno, "cannot poll");
  }
}

}  // namespace

UnmountResult UnmountImage(const std::string& directory, bool lazy) {
  UnmountResult result{.target = ResolveMountTarget(directory), .serving = std::nullopt};
  const std::optional<MountEntry> mounted = FindMount(ReadMountTable(), result.target);
  if (!mounted) {
    throw Error(ErrorKind::kMountPoint, "nothing is mounted here",
                "'firn status' shows what is mounted where.")
        .WithPath(result.target);
  }
  if (!mounted->IsFirn()) {
    throw Error(ErrorKind::kMountPoint,
                "expected an image of Firn, found a mount of type " + mounted->type,
                "Use umount for it.")
        .WithPath(result.target);
  }
  if (UnmountThroughNode(*mounted, lazy)) return result;
  const std::vector<Server> servers = FindServers(result.target);
  if (!UnmountTarget(result.target, lazy ? UnmountMode::kLazy : UnmountMode::kRefuseBusy)) {
    throw Error(ErrorKind::kMountPoint, "the image is in use",
                "End what uses it ('fuser -vm " + result.target + "' lists that), or give --lazy.")
        .WithPath(result.target);
  }
  for (const Server& server : servers) {
    if (!lazy && !result.serving && !WaitForEnd(server)) result.serving = server.pid;
  }
  return result;
}

}  // namespace firn
