#ifndef FIRN_MOUNTD_METRICS_SERVER_H_
#define FIRN_MOUNTD_METRICS_SERVER_H_

#include <poll.h>

#include <chrono>
#include <functional>
#include <list>
#include <string>
#include <vector>

#include "format/file.h"
#include "mountd/metrics_address.h"

namespace firn {

// Answers GET /metrics over HTTP/1.1, one request a connection, and waits for nobody: a client has
// some seconds and some kilobytes for its request, and some seconds to take the answer. To be
// driven by a loop around poll(2), from one thread.
class MetricsServer {
 public:
  using Clock = std::chrono::steady_clock;
  using MakeText = std::function<std::string()>;

  // A Unix socket is made with mode 0600; one that a dead firnd left there is replaced. Throws
  // kSystem.
  MetricsServer(const MetricsAddress& address, MakeText make_text);
  // Removes the Unix socket.
  ~MetricsServer();
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  const MetricsAddress& address() const { return address_; }

  void AppendPollSet(std::vector<pollfd>& set) const;
  // Does what can be done without waiting; `set` as poll(2) left it (entries of others are
  // skipped). To be called every second or so, though nothing happens, for who is too slow.
  void Handle(const std::vector<pollfd>& set, Clock::time_point now);

 private:
  struct Client {
    enum class Stage {
      kAsking,
      kTaking,
      kLeaving  // has all; what it still sends must not make the kernel take that back
    };
    FileDescriptor fd;
    Clock::time_point deadline;
    Stage stage = Stage::kAsking;
    std::string request{};
    std::string answer{};  // what is left of it
  };

  void Listen();
  void Accept(Clock::time_point now);
  // These return false where the client is to be dropped.
  bool HandleClient(Client& client) const;
  bool Ask(Client& client) const;
  static bool Take(Client& client);
  std::string AnswerTo(const std::string& request) const;

  const MetricsAddress address_;
  const MakeText make_text_;
  FileDescriptor listener_;
  std::list<Client> clients_;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_METRICS_SERVER_H_
