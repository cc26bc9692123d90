#ifndef FIRN_MOUNTD_CONTROL_SERVER_H_
#define FIRN_MOUNTD_CONTROL_SERVER_H_

#include <poll.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <list>
#include <string>
#include <string_view>
#include <vector>

#include "format/file.h"
#include "mountd/line_buffer.h"
#include "mountd/runtime_directory.h"

namespace firn {

// The control socket of a session, PID.sock in the runtime directory: lines of JSON, one answer a
// request. It serves the session's own user and root only, and waits for nobody: a client has a
// few seconds and a few kilobytes for each line. To be driven by a loop around poll(2), from one
// thread.
class ControlServer {
 public:
  using Clock = std::chrono::steady_clock;
  // Answers a request (a line) with a line, both without the newline.
  using Answer = std::function<std::string(std::string_view)>;

  // Throws kSystem where the socket cannot be made.
  ControlServer(RuntimeDirectory directory, Answer answer);
  // Removes the socket, and the directory where nothing else is in it.
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  std::string path() const { return directory_.path() + "/" + name_; }

  // Adds what poll(2) is to wait for.
  void AppendPollSet(std::vector<pollfd>& set) const;
  // How long poll(2) may wait, in milliseconds; -1: for ever.
  int PollTimeout(Clock::time_point now) const;
  // Does what can be done without waiting; `set` as poll(2) left it (entries of others are
  // skipped).
  void Handle(const std::vector<pollfd>& set, Clock::time_point now);

 private:
  struct Client {
    FileDescriptor fd;
    LineBuffer input;
    Clock::time_point deadline;
  };

  void Accept(Clock::time_point now);
  // False where the client is to be dropped.
  bool Read(Client& client, Clock::time_point now);

  RuntimeDirectory directory_;
  const Answer answer_;
  const std::string name_;
  FileDescriptor listener_;
  std::list<Client> clients_;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_CONTROL_SERVER_H_
