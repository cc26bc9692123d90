#include "mountd/control_server.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "mountd/log.h"

namespace firn {
namespace {

constexpr std::chrono::seconds kClientTimeout{5};
constexpr size_t kLongestRequest = 4096;
constexpr size_t kMostClients = 32;

bool MayAsk(int client) {
  ucred peer{};
  socklen_t length = sizeof peer;
  return getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
         (peer.uid == geteuid() || peer.uid == 0);
}

}  // namespace

ControlServer::ControlServer(RuntimeDirectory directory, Answer answer)
    : directory_(std::move(directory)),
      answer_(std::move(answer)),
      name_(std::to_string(getpid()) + ".sock"),
      listener_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
  // Under its name only once it listens: a socket that refuses connections is a dead firnd's.
  const std::string making = name_ + ".new";
  const sockaddr_un address = SocketAddress(directory_.ShortPathOf(making));
  unlinkat(directory_.fd(), making.c_str(), 0);
  if (!listener_.valid() ||
      bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener_.get(), kMostClients) != 0 ||
      renameat(directory_.fd(), making.c_str(), directory_.fd(), name_.c_str()) != 0) {
    const int error_number = errno;
    unlinkat(directory_.fd(), making.c_str(), 0);
    throw SystemError(ErrorKind::kSystem, error_number, "cannot make the control socket")
        .WithPath(path());
  }
}

ControlServer::~ControlServer() {
  unlinkat(directory_.fd(), name_.c_str(), 0);
  directory_.RemoveIfUnused();
}

void ControlServer::AppendPollSet(std::vector<pollfd>& set) const {
  set.push_back({listener_.get(), POLLIN, 0});
  for (const Client& client : clients_) set.push_back({client.fd.get(), POLLIN, 0});
}

int ControlServer::PollTimeout(Clock::time_point now) const {
  if (clients_.empty()) return -1;
  Clock::time_point next = clients_.front().deadline;
  for (const Client& client : clients_) next = std::min(next, client.deadline);
  if (next <= now) return 0;
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(next - now).count());
}

void ControlServer::Handle(const std::vector<pollfd>& set, Clock::time_point now) {
  const auto is_ready = [&](int fd) {
    return std::any_of(set.begin(), set.end(),
                       [&](const pollfd& entry) { return entry.fd == fd && entry.revents != 0; });
  };
  clients_.remove_if([&](Client& client) {
    if (is_ready(client.fd.get())) return !Read(client, now);
    return client.deadline <= now;
  });
  if (is_ready(listener_.get())) Accept(now);
}

void ControlServer::Accept(Clock::time_point now) {
  for (;;) {
    FileDescriptor fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd.valid()) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno != EAGAIN) LogWarning("control socket: {}", std::strerror(errno));
      return;
    }
    if (!MayAsk(fd.get())) continue;
    if (clients_.size() == kMostClients) clients_.pop_front();
    clients_.push_back({std::move(fd), LineBuffer(kLongestRequest), now + kClientTimeout});
  }
}

bool ControlServer::Read(Client& client, Clock::time_point now) {
  char bytes[kLongestRequest];
  const ssize_t got = recv(client.fd.get(), bytes, sizeof bytes, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (got <= 0) return false;
  client.input.Append({bytes, static_cast<size_t>(got)});
  while (const std::optional<std::string> line = client.input.NextLine()) {
    const std::string reply = answer_(*line) + "\n";
    // A client that does not take its answers is not waited for.
    if (send(client.fd.get(), reply.data(), reply.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(reply.size())) {
      return false;
    }
    client.deadline = now + kClientTimeout;
  }
  return !client.input.overlong();
}

}  // namespace firn
