#include "mountd/node_client.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>
#include <utility>

#include "format/error.h"
#include "format/json_input.h"
#include "mountd/carried_error.h"
#include "mountd/node_socket.h"
#include "mountd/subprocess.h"
#include "mountd/text_file.h"
#include "mountd/trust_policy.h"

namespace firn {
namespace {

using nlohmann::json;

// An image on a slow file system takes its time to be opened.
constexpr int kAnswerTimeout = 60'000;  // milliseconds
// A firnd that is being restarted is back by then.
constexpr std::chrono::seconds kReconnectTime{15};
constexpr std::chrono::milliseconds kReconnectInterval{20};

// Throws the Error that it carries, or kNoReply.
WorkerChannel::Message AnswerOrThrow(std::optional<WorkerChannel::Message> answer) {
  if (!answer) {
    throw Error(ErrorKind::kNoReply, "the node's firnd does not answer",
                "Its log may say why; --no-daemon does without it.");
  }
  if (answer->body.contains("error")) throw ErrorFromJson(answer->body["error"]);
  return std::move(*answer);
}

uid_t OwnerOf(int image) {
  struct stat status {};
  fstat(image, &status);
  return status.st_uid;
}

std::vector<int> NumbersOf(const std::vector<FileDescriptor>& fds) {
  std::vector<int> numbers;
  for (const FileDescriptor& fd : fds) numbers.push_back(fd.get());
  return numbers;
}

// Is there a systemd of the user's own, and has it the unit that Firn installs?
bool StartThroughServiceManager() {
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  if (geteuid() == 0 || runtime == nullptr) return false;
  if (access((std::string(runtime) + "/systemd/private").c_str(), F_OK) != 0) return false;
  const FileDescriptor null(open("/dev/null", O_WRONLY | O_CLOEXEC));
  const pid_t pid = Spawn({"systemctl", "--user", "--quiet", "start", "firnd.service"},
                          {.stderr_fd = null.get()});
  return pid > 0 && WaitForExit(pid) == 0;
}

}  // namespace

NodeClient::NodeClient(FileDescriptor socket) : channel_(std::move(socket)) {
  ucred peer{};
  socklen_t length = sizeof peer;
  is_system_ =
      getsockopt(channel_.fd(), SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.uid == 0;
}

std::optional<NodeClient> NodeClient::ConnectOrStart() {
  std::optional<NodeClient> node = Connect();
  if (!node && StartThroughServiceManager()) node = Connect();
  return node;
}

std::optional<NodeClient> NodeClient::Connect() {
  FileDescriptor socket = ConnectToNode();
  if (!socket.valid()) return std::nullopt;
  return NodeClient(std::move(socket));
}

std::optional<NodeClient> NodeClient::ConnectIn(const RuntimeDirectory& directory,
                                                const std::string& name) {
  FileDescriptor socket = ConnectToNodeIn(directory, name);
  if (!socket.valid()) return std::nullopt;
  return NodeClient(std::move(socket));
}

std::optional<WorkerChannel::Message> NodeClient::AskOnce(const json& request,
                                                          std::span<const int> fds) {
  std::optional<WorkerChannel::Message> answer;
  // One that takes no request may have said why.
  const bool is_sent = channel_.Send(request, fds);
  pollfd entry{channel_.fd(), POLLIN, 0};
  while (!answer && !channel_.ended() && poll(&entry, 1, kAnswerTimeout) == 1) {
    answer = channel_.Receive();
  }
  is_broken_ = channel_.ended() || !is_sent;
  return answer;
}

WorkerChannel::Message NodeClient::Ask(const json& request, std::span<const int> fds) {
  std::optional<WorkerChannel::Message> answer = AskOnce(request, fds);
  const auto deadline = std::chrono::steady_clock::now() + kReconnectTime;
  while (!answer && is_broken_ && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(kReconnectInterval);
    FileDescriptor socket = ConnectToNode();
    if (!socket.valid()) continue;
    channel_ = WorkerChannel(std::move(socket));
    // The lease that was to be told of ended with the connection.
    if (!unplaced_.is_null() && request.value("op", std::string()) == "placed" &&
        !AskOnce(unplaced_, NumbersOf(unplaced_images_))) {
      continue;
    }
    answer = AskOnce(request, fds);
  }
  return AnswerOrThrow(std::move(answer));
}

AttachedView NodeClient::Attach(const AttachRequest& request) {
  const bool place = request.target >= 0;
  std::vector<int> fds = {request.image};
  if (place) fds.push_back(request.target);
  json asked = {{"op", "attach"},
                {"path", request.path},
                {"owner", OwnerOf(request.image)},
                {"foreign", request.foreign},
                {"prefetch", request.prefetch},
                {"view", request.with_view},
                {"place", place},
                {"lease", ToString(request.lease)},
                {"name", request.name},
                {"below", json::array()}};
  AddToMessage(FindSignatures(request.image, request.path), asked);
  for (const AttachRequest::Below& below : request.below) {
    json described = {{"path", below.path}, {"owner", OwnerOf(below.image)}};
    AddToMessage(FindSignatures(below.image, below.path), described);
    asked["below"].push_back(std::move(described));
    fds.push_back(below.image);
  }
  // One that may have been mounted already is not asked for again.
  WorkerChannel::Message answer = place ? AnswerOrThrow(AskOnce(asked, fds)) : Ask(asked, fds);
  if (request.lease == LeaseKind::kMount && !place) {
    unplaced_ = std::move(asked);
    unplaced_["view"] = false;
    unplaced_images_.clear();
    for (const int fd : fds) unplaced_images_.emplace_back(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  }
  if (answer.body.value("below", size_t{0}) != request.below.size()) {
    throw Error(ErrorKind::kSystem, "the node's firnd shows no layers, as it is of another version",
                "Have it replaced ('firnd --upgrade'), or use --no-daemon.");
  }
  AttachedView attached;
  attached.slot = answer.body.value("slot", uint32_t{0});
  attached.id = answer.body.value("id", std::string());
  attached.prefix = answer.body.value("prefix", std::string());
  attached.pid = answer.body.value("pid", pid_t{0});
  const size_t expected =
      (request.with_view && !place ? 1 : 0) + (answer.body.value("user_namespace", false) ? 1 : 0);
  if (answer.fds.size() != expected) {
    throw Error(ErrorKind::kNoReply, "expected " + std::to_string(expected) +
                                         " descriptors from firnd, found " +
                                         std::to_string(answer.fds.size()));
  }
  if (expected > 0) attached.view = std::move(answer.fds[0]);
  if (expected > 1) attached.user_namespace = std::move(answer.fds[1]);
  return attached;
}

void NodeClient::TellPlaced(uint64_t mount_id) {
  Ask({{"op", "placed"}, {"mount_id", mount_id}});
  unplaced_ = json();
  unplaced_images_.clear();
}

void NodeClient::Unmount(uint64_t mount_id, bool lazy) {
  Ask({{"op", "unmount"}, {"mount_id", mount_id}, {"lazy", lazy}});
}

uint64_t NodeClient::Detach(const std::string& lease) {
  return Ask({{"op", "detach"}, {"lease", lease}}).body.value("ended", uint64_t{0});
}

FileDescriptor NodeClient::UserNamespace() {
  const json request = {{"op", "namespace"}};
  // An ordinary user's may have ended, as it was idle: another one is started then.
  WorkerChannel::Message answer = is_system_ ? Ask(request) : AnswerOrThrow(AskOnce(request, {}));
  if (!answer.body.value("user_namespace", false)) return FileDescriptor();
  if (answer.fds.empty()) {
    throw Error(ErrorKind::kNoReply, "expected a user namespace from firnd, found none");
  }
  return std::move(answer.fds.front());
}

json NodeClient::Status() {
  const WorkerChannel::Message answer = Ask({{"op", "status"}});
  const std::string text = answer.fds.empty() ? std::string() : ReadTextFile(answer.fds.front());
  json status = ParseJsonMessage(text);
  if (status.is_object()) return status;
  throw Error(ErrorKind::kNoReply, "expected the status of the node's firnd, found something else",
              "Check that firn and firnd are of the same version ('firnd --version').");
}

UpgradedNode NodeClient::Upgrade() {
  const json answer = Ask({{"op", "upgrade"}}).body;
  return {.workers = answer.value("workers", uint64_t{0}),
          .version = answer.value("version", std::string())};
}

}  // namespace firn
