#include "mountd/worker_channel.h"

#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <utility>

#include "format/error.h"
#include "format/json_input.h"
#include "mountd/descriptor_passing.h"
#include "mountd/json_line.h"

namespace firn {
namespace {

// A path of an image, its escapes and some words.
constexpr size_t kLongestMessage = size_t{64} << 10;

}  // namespace

std::pair<FileDescriptor, FileDescriptor> WorkerChannel::MakeSockets() {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
    throw SystemError(ErrorKind::kInternal, errno, "cannot make a socket pair");
  }
  return {FileDescriptor(sockets[0]), FileDescriptor(sockets[1])};
}

bool WorkerChannel::Send(const nlohmann::json& body, std::span<const int> fds) const {
  const std::string text = JsonLine(body);
  if (text.size() > kLongestMessage) return false;
  return SendDescriptors(socket_.get(), std::as_bytes(std::span(text)), fds, MSG_DONTWAIT);
}

std::optional<WorkerChannel::Message> WorkerChannel::Receive() {
  buffer_.resize(kLongestMessage);
  std::optional<ReceivedBytes> received = ReceiveDescriptors(socket_.get(), buffer_, MSG_DONTWAIT);
  if (!received) return std::nullopt;
  const auto* text = reinterpret_cast<const char*>(buffer_.data());
  Message message{ParseJsonMessage({text, received->length}), std::move(received->fds)};
  ended_ = !message.body.is_object();
  if (ended_) return std::nullopt;
  return message;
}

}  // namespace firn
