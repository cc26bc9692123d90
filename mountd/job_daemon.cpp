#include "mountd/job_daemon.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <utility>

#include "format/error.h"
#include "mountd/config.h"
#include "mountd/fuse_mount.h"
#include "mountd/inherited_state.h"
#include "mountd/job_identity.h"
#include "mountd/job_sockets.h"
#include "mountd/launch.h"
#include "mountd/subprocess.h"

namespace firn {
namespace {

constexpr std::chrono::milliseconds kStartTimeout{60'000};
constexpr int kMostAttempts = 5;  // each meets a firnd that is just ending

// May the caller join the user namespace? It must lie below the caller's own, and be its user's.
bool IsJoinable(const FileDescriptor& user_namespace) {
  const FileDescriptor parent(ioctl(user_namespace.get(), NS_GET_PARENT));
  uid_t owner = 0;
  return parent.valid() && ioctl(user_namespace.get(), NS_GET_OWNER_UID, &owner) == 0 &&
         owner == geteuid();
}

// Once it has answered, it knows of the client and does not end for idleness.
bool CanServe(NodeClient& node) {
  const FileDescriptor user_namespace = node.UserNamespace();
  return !user_namespace.valid() || IsJoinable(user_namespace);
}

// The same for one that may be ending.
std::optional<NodeClient> IfAnswering(std::optional<NodeClient> node, bool& can_serve) {
  try {
    if (node) can_serve = CanServe(*node);
    return node;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kNoReply) throw;
    return std::nullopt;
  }
}

// Held by who starts the job's firnd; the others wait for it.
class StartLock {
 public:
  StartLock(const RuntimeDirectory& directory, std::string name)
      : directory_(directory), name_(std::move(name)) {
    do {
      lock_ = FileDescriptor(
          openat(directory.fd(), name_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
      int result = -1;
      do {
        result = lock_.valid() ? flock(lock_.get(), LOCK_EX) : -1;
      } while (result != 0 && lock_.valid() && errno == EINTR);
      if (result != 0) {
        throw SystemError(ErrorKind::kSystem, errno, "cannot lock the start of firnd")
            .WithPath(directory.path() + "/" + name_);
      }
    } while (!IsStillThere(directory, name_, lock_));
  }
  ~StartLock() { unlinkat(directory_.fd(), name_.c_str(), 0); }
  StartLock(const StartLock&) = delete;
  StartLock& operator=(const StartLock&) = delete;

 private:
  const RuntimeDirectory& directory_;
  const std::string name_;
  FileDescriptor lock_;
};

// Waits until it is ready, or has said why it is not: whoever does without need not say that.
void StartJobDaemon(const std::string& job) {
  const FileDescriptor null(open("/dev/null", O_WRONLY | O_CLOEXEC));
  Pipe ready = MakePipe();
  const pid_t starter = Spawn({FindFirnd(), "--node", "--job=" + job,
                               "--ready-fd=" + std::to_string(ready.write_end.get())},
                              {.inherited = {ready.write_end.get()},
                               .environment = EnvironmentForDaemon(),
                               .only_environment = true,
                               .stderr_fd = null.get()});
  ready.write_end.Close();
  if (starter < 0) return;
  // ECHILD: the caller was started with SIGCHLD ignored.
  while (waitpid(starter, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (IsReadable(ready.read_end.get(), kStartTimeout)) ReadLine(ready.read_end.get());
}

std::optional<NodeClient> ConnectOrStartJobDaemon(bool& can_serve) {
  // It has overlays alone.
  if (LoadConfig({}).view == ViewChoice::kDirect) return std::nullopt;
  const RuntimeDirectory directory = RuntimeDirectory::MakeOwn();
  const std::string job = OwnJobKey();
  const std::string socket = JobFile(job, kSocketSuffix);
  std::optional<NodeClient> node;
  for (int attempt = 0; !node && attempt < kMostAttempts; ++attempt) {
    node = IfAnswering(NodeClient::ConnectIn(directory, socket), can_serve);
    if (node) break;
    const StartLock lock(directory, JobFile(job, kStartSuffix));
    node = IfAnswering(NodeClient::ConnectIn(directory, socket), can_serve);
    if (node) break;
    if (IsTooLimitedForDaemon()) break;
    RemoveStaleJobFiles(directory);
    StartJobDaemon(job);
    std::optional<NodeClient> started = NodeClient::ConnectIn(directory, socket);
    if (!started) break;
    node = IfAnswering(std::move(started), can_serve);
  }
  if (!node) directory.RemoveIfUnused();
  return node;
}

}  // namespace

std::optional<NodeClient> ConnectForJob() {
  bool can_serve = false;
  std::optional<NodeClient> node = IfAnswering(NodeClient::ConnectOrStart(), can_serve);
  const bool is_ordinary = geteuid() != 0 && !MayMount() && !InUserNamespace();
  if (!node && is_ordinary) {
    try {
      node = ConnectOrStartJobDaemon(can_serve);
    } catch (const Error&) {
      return std::nullopt;  // what hinders it hinders a firnd of one's own too, or does not matter
    }
  }
  return can_serve ? std::move(node) : std::nullopt;
}

std::optional<NodeClient> ConnectToJob(const std::string& socket) {
  const std::filesystem::path path(socket);
  for (const RuntimeDirectory& directory : RuntimeDirectory::FindAll()) {
    if (directory.path() == path.parent_path()) {
      return NodeClient::ConnectIn(directory, path.filename().string());
    }
  }
  return std::nullopt;
}

std::vector<NodeClient> ConnectToJobs() {
  std::vector<NodeClient> jobs;
  for (const RuntimeDirectory& directory : RuntimeDirectory::FindAll()) {
    for (const std::string& name : JobSocketsIn(directory)) {
      if (auto job = NodeClient::ConnectIn(directory, name)) jobs.push_back(std::move(*job));
    }
  }
  return jobs;
}

}  // namespace firn
