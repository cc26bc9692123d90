#include "mountd/metrics_server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

#include "mountd/runtime_directory.h"

namespace firn {
namespace {

constexpr std::chrono::seconds kScrapeTimeout{5};
constexpr size_t kLongestHttpRequest = 8192;
constexpr size_t kMostScrapers = 16;
constexpr char kTextType[] = "text/plain; version=0.0.4; charset=utf-8";

std::string HttpAnswer(std::string_view status, std::string_view type, std::string_view body,
                       bool with_body, std::string_view more = {}) {
  std::string answer = "HTTP/1.1 ";
  answer.append(status).append("\r\nContent-Type: ").append(type);
  answer.append("\r\nContent-Length: ").append(std::to_string(body.size()));
  answer.append("\r\nConnection: close\r\n").append(more).append("\r\n");
  if (with_body) answer.append(body);
  return answer;
}

std::string HttpRefusal(std::string_view status, std::string_view more = {}) {
  return HttpAnswer(status, "text/plain", std::string(status) + "\n", /*with_body=*/true, more);
}

// Takes a socket away that nobody listens at.
void RemoveStale(const std::string& path, const sockaddr_un& address) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return;
  const FileDescriptor probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const bool is_dead =
      connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
      errno == ECONNREFUSED;
  if (is_dead) unlink(path.c_str());
}

}  // namespace

MetricsServer::MetricsServer(const MetricsAddress& address, MakeText make_text)
    : address_(address), make_text_(std::move(make_text)) {
  Listen();
}

MetricsServer::~MetricsServer() {
  if (address_.is_unix()) unlink(std::get<std::string>(address_.place).c_str());
}

void MetricsServer::Listen() {
  const auto listen_at = [&](const auto& address, int family) {
    listener_ = FileDescriptor(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int on = 1;
    // The port is free again at once when firnd is restarted.
    if (family != AF_UNIX) {
      setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    }
    return listener_.valid() &&
           bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
               0 &&
           listen(listener_.get(), kMostScrapers) == 0;
  };
  bool is_listening = false;
  if (const auto* path = std::get_if<std::string>(&address_.place)) {
    const sockaddr_un address = SocketAddress(*path);
    RemoveStale(*path, address);
    const mode_t mask = umask(0177);
    is_listening = listen_at(address, AF_UNIX);
    umask(mask);
  } else if (const auto* ipv4 = std::get_if<sockaddr_in>(&address_.place)) {
    is_listening = listen_at(*ipv4, AF_INET);
  } else {
    is_listening = listen_at(std::get<sockaddr_in6>(address_.place), AF_INET6);
  }
  if (is_listening) return;
  throw SystemError(ErrorKind::kSystem, errno, "cannot serve metrics at " + address_.text,
                    "Give 'metrics: listen:' another address, or end what has this one.");
}

void MetricsServer::AppendPollSet(std::vector<pollfd>& set) const {
  set.push_back({listener_.get(), POLLIN, 0});
  for (const Client& client : clients_) {
    const short events = client.stage == Client::Stage::kTaking ? POLLOUT : POLLIN;
    set.push_back({client.fd.get(), events, 0});
  }
}

void MetricsServer::Handle(const std::vector<pollfd>& set, Clock::time_point now) {
  const auto is_ready = [&](int fd) {
    return std::ranges::any_of(
        set, [&](const pollfd& entry) { return entry.fd == fd && entry.revents != 0; });
  };
  clients_.remove_if([&](Client& client) {
    return client.deadline <= now || (is_ready(client.fd.get()) && !HandleClient(client));
  });
  if (is_ready(listener_.get())) Accept(now);
}

void MetricsServer::Accept(Clock::time_point now) {
  // Who connects without end is not to keep the caller here.
  for (size_t accepted = 0; accepted < kMostScrapers; ++accepted) {
    FileDescriptor fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd.valid()) return;
    if (clients_.size() == kMostScrapers) clients_.pop_front();
    clients_.push_back({.fd = std::move(fd), .deadline = now + kScrapeTimeout});
  }
}

bool MetricsServer::HandleClient(Client& client) const {
  if (client.stage == Client::Stage::kAsking && !Ask(client)) return false;
  if (client.stage == Client::Stage::kTaking && !Take(client)) return false;
  if (client.stage != Client::Stage::kLeaving) return true;
  char ignored[kLongestHttpRequest];
  const ssize_t got = recv(client.fd.get(), ignored, sizeof ignored, 0);
  return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

bool MetricsServer::Ask(Client& client) const {
  char bytes[kLongestHttpRequest];
  const ssize_t got = recv(client.fd.get(), bytes, sizeof bytes, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (got <= 0) return false;
  client.request.append(bytes, static_cast<size_t>(got));
  if (client.request.find("\r\n\r\n") != std::string::npos) {
    client.answer = AnswerTo(client.request);
  } else if (client.request.size() > kLongestHttpRequest) {
    client.answer = HttpRefusal("431 Request Header Fields Too Large");
  } else {
    return true;
  }
  client.stage = Client::Stage::kTaking;
  return true;
}

bool MetricsServer::Take(Client& client) {
  while (!client.answer.empty()) {
    const ssize_t sent =
        send(client.fd.get(), client.answer.data(), client.answer.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return errno == EAGAIN;
    client.answer.erase(0, static_cast<size_t>(sent));
  }
  client.stage = Client::Stage::kLeaving;
  return shutdown(client.fd.get(), SHUT_WR) == 0;
}

std::string MetricsServer::AnswerTo(const std::string& request) const {
  const std::string_view line = std::string_view(request).substr(0, request.find("\r\n"));
  const size_t first = line.find(' ');
  const size_t second = line.find(' ', first + 1);
  if (first == std::string_view::npos || second == std::string_view::npos ||
      !line.substr(second + 1).starts_with("HTTP/1.")) {
    return HttpRefusal("400 Bad Request");
  }
  const std::string_view method = line.substr(0, first);
  std::string_view path = line.substr(first + 1, second - first - 1);
  path = path.substr(0, path.find('?'));
  if (method != "GET" && method != "HEAD") {
    return HttpRefusal("405 Method Not Allowed", "Allow: GET, HEAD\r\n");
  }
  if (path != "/metrics") return HttpRefusal("404 Not Found");
  return HttpAnswer("200 OK", kTextType, make_text_(), /*with_body=*/method == "GET");
}

}  // namespace firn
