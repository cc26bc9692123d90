#include "mountd/outside_launcher.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "mountd/descriptor_passing.h"

namespace firn {
namespace {

constexpr size_t kMaxReply = 64 * 1024;

// What is sent, with the descriptors of the mount in JobMount's order.
struct RequestHeader {
  size_t index = 0;
  bool has_root = false;
};

struct Request {
  RequestHeader header;
  JobMount mount;
};

bool SendRequest(int socket, size_t index, const JobMount& mount) {
  const RequestHeader header{index, mount.root.valid()};
  std::vector<int> fds = {mount.fuse.get()};
  for (const FileDescriptor* fd : {&mount.root, &mount.user_namespace}) {
    if (fd->valid()) fds.push_back(fd->get());
  }
  return SendDescriptors(socket, std::as_bytes(std::span(&header, 1)), fds);
}

// False at the end: the caller has closed its socket.
bool ReceiveRequest(int socket, Request& request) {
  std::optional<ReceivedBytes> received =
      ReceiveDescriptors(socket, std::as_writable_bytes(std::span(&request.header, 1)), 0);
  request.mount = {};
  if (!received || received->fds.empty()) return false;
  std::vector<FileDescriptor>& fds = received->fds;
  auto next = fds.begin();
  request.mount.fuse = std::move(*next++);
  if (request.header.has_root && next != fds.end()) request.mount.root = std::move(*next++);
  if (next != fds.end()) request.mount.user_namespace = std::move(*next++);
  return true;
}

// firnd must hold nothing of the job's but what it is given: a pipe that it kept open would never
// come to its end.
void CloseInheritedAtExec() {
  if (syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC) == 0) return;
  // Kernels before 5.11.
  std::vector<int> open;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    open.push_back(std::stoi(entry.path().filename().string()));
  }
  for (const int fd : open) {
    if (fd > 2) fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
}

}  // namespace

OutsideLauncher::OutsideLauncher(Launch launch) {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
    throw SystemError(ErrorKind::kInternal, errno, "cannot make a socket pair");
  }
  socket_ = FileDescriptor(sockets[0]);
  const FileDescriptor theirs(sockets[1]);
  helper_ = fork();
  if (helper_ < 0) {
    throw SystemError(ErrorKind::kSystem, errno, "cannot start a process",
                      "Check the limits on processes (ulimit -u, the job's pids limit).");
  }
  if (helper_ == 0) {
    socket_.Close();
    Serve(theirs, launch);
  }
}

OutsideLauncher::~OutsideLauncher() {
  socket_.Close();
  // ECHILD: the caller was started with SIGCHLD ignored, and the helper has gone by itself.
  while (waitpid(helper_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

SessionAddress OutsideLauncher::Start(size_t index, const JobMount& mount) {
  std::string reply;
  if (SendRequest(socket_.get(), index, mount)) {
    reply.resize(kMaxReply);
    ssize_t got;
    do {
      got = recv(socket_.get(), reply.data(), reply.size(), 0);
    } while (got < 0 && errno == EINTR);
    reply.resize(got > 0 ? static_cast<size_t>(got) : 0);
  }
  return ParseReadiness(reply);
}

// The helper's dispatcher of requests: errors go back to the caller.
void OutsideLauncher::Serve(const FileDescriptor& socket, const Launch& launch) {
  signal(SIGCHLD, SIG_DFL);
  CloseInheritedAtExec();
  // A working directory would keep its file system busy.
  if (chdir("/") != 0) _exit(1);
  for (Request request; ReceiveRequest(socket.get(), request);) {
    std::string reply;
    try {
      reply = FormatReady(launch(request.header.index, request.mount));
    } catch (const Error& error) {
      reply = FormatFailure(error);
    } catch (const std::exception& error) {
      reply = FormatFailure(Error(ErrorKind::kInternal, error.what()));
    }
    request.mount = {};
    send(socket.get(), reply.data(), reply.size(), MSG_NOSIGNAL);
  }
  // Not exit(): buffers and handlers are the caller's.
  _exit(0);
}

}  // namespace firn
