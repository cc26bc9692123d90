#include "mountd/control_client.h"

#include <dirent.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <tuple>

#include "format/json_input.h"
#include "mountd/line_buffer.h"

namespace firn {
namespace {

constexpr timeval kReplyTimeout{5, 0};
constexpr size_t kLongestAnswer = 1u << 20;

// Nothing where nobody answers; `refused` tells that nobody listens at all.
FileDescriptor Connect(const std::string& path, uid_t owner, bool& refused) {
  FileDescriptor fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) throw SystemError(ErrorKind::kInternal, errno, "cannot make a socket");
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kReplyTimeout, sizeof kReplyTimeout);
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kReplyTimeout, sizeof kReplyTimeout);
  const sockaddr_un address = SocketAddress(path);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    refused = errno == ECONNREFUSED;
    return FileDescriptor();
  }
  ucred peer{};
  socklen_t length = sizeof peer;
  if (getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || peer.uid != owner) {
    return FileDescriptor();
  }
  return fd;
}

std::optional<std::string> Ask(int fd, const std::string& request) {
  const std::string line = request + "\n";
  if (send(fd, line.data(), line.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(line.size())) {
    return std::nullopt;
  }
  LineBuffer answer(kLongestAnswer);
  char bytes[4096];
  while (!answer.overlong()) {
    const ssize_t got = recv(fd, bytes, sizeof bytes, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return std::nullopt;
    answer.Append({bytes, static_cast<size_t>(got)});
    if (auto whole = answer.NextLine()) return whole;
  }
  return std::nullopt;
}

std::optional<SessionStatus> AskStatus(const RuntimeDirectory& directory, const std::string& name) {
  bool refused = false;
  const FileDescriptor fd = Connect(directory.ShortPathOf(name), directory.owner(), refused);
  if (refused) {
    unlinkat(directory.fd(), name.c_str(), 0);
    directory.RemoveIfUnused();
  }
  if (!fd.valid()) return std::nullopt;
  const std::optional<std::string> answer = Ask(fd.get(), R"({"op":"status"})");
  if (!answer) return std::nullopt;
  const nlohmann::json object = ParseJsonMessage(*answer);
  if (!object.is_object() || object.contains("error")) return std::nullopt;
  return SessionStatusFrom(object);
}

}  // namespace

std::optional<std::string> AskSession(const SessionStatus& session, const std::string& request) {
  const std::string directory = std::filesystem::path(session.control).parent_path().string();
  const std::string name = std::filesystem::path(session.control).filename().string();
  for (const RuntimeDirectory& runtime : RuntimeDirectory::FindAll()) {
    if (runtime.path() != directory) continue;
    bool refused = false;
    const FileDescriptor fd = Connect(runtime.ShortPathOf(name), runtime.owner(), refused);
    if (fd.valid()) return Ask(fd.get(), request);
  }
  return std::nullopt;
}

void StopPrefetch(const SessionStatus& session) {
  AskSession(session, R"({"op":"stop_prefetch"})");
}

std::vector<SessionStatus> ListSessionsIn(const RuntimeDirectory& directory) {
  std::vector<SessionStatus> sessions;
  std::error_code ignored;  // it may vanish meanwhile
  for (const auto& entry : std::filesystem::directory_iterator(directory.path(), ignored)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(".sock")) continue;
    if (auto status = AskStatus(directory, name)) sessions.push_back(std::move(*status));
  }
  return sessions;
}

std::vector<SessionStatus> ListSessions() {
  std::vector<SessionStatus> sessions;
  for (const RuntimeDirectory& directory : RuntimeDirectory::FindAll()) {
    for (SessionStatus& status : ListSessionsIn(directory)) sessions.push_back(std::move(status));
  }
  std::sort(sessions.begin(), sessions.end(), [](const SessionStatus& a, const SessionStatus& b) {
    return std::tie(a.mount_point, a.pid) < std::tie(b.mount_point, b.pid);
  });
  return sessions;
}

}  // namespace firn
