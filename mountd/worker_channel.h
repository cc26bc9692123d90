#ifndef FIRN_MOUNTD_WORKER_CHANNEL_H_
#define FIRN_MOUNTD_WORKER_CHANNEL_H_

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <vector>

#include "format/file.h"

namespace firn {

// One end of the socket between keeper and worker: messages of JSON, descriptors with them.
// Sending is thread-safe, receiving is for one thread.
class WorkerChannel {
 public:
  struct Message {
    nlohmann::json body;
    std::vector<FileDescriptor> fds;
  };

  explicit WorkerChannel(FileDescriptor socket) : socket_(std::move(socket)) {}
  // Both ends; they close at exec. Throws kInternal.
  static std::pair<FileDescriptor, FileDescriptor> MakeSockets();

  int fd() const { return socket_.get(); }

  // False where the other side is gone or does not take it at once.
  bool Send(const nlohmann::json& body, std::span<const int> fds = {}) const;

  // Absent where nothing is there; then ended() says if nothing ever will be. A message that is not
  // a JSON object, or nested deeper than kMaxJsonDepth, is the end too.
  std::optional<Message> Receive();
  bool ended() const { return ended_; }

 private:
  FileDescriptor socket_;
  std::vector<std::byte> buffer_;
  bool ended_ = false;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_WORKER_CHANNEL_H_
