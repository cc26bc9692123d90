#ifndef FIRN_MOUNTD_READINESS_REPORT_H_
#define FIRN_MOUNTD_READINESS_REPORT_H_

#include <functional>
#include <string>
#include <utility>

#include "format/file.h"
#include "mountd/log_settings.h"

namespace firn {

// Tells a waiting caller, once, how the start went.
class ReadinessReport {
 public:
  explicit ReadinessReport(FileDescriptor fd) : fd_(std::move(fd)) {}

  // A line without its newline. False where nobody waits any more.
  bool Tell(const std::string& line);
  bool told() const { return !fd_.valid(); }

 private:
  FileDescriptor fd_;
};

struct BackgroundOptions {
  FileDescriptor ready;  // where to tell readiness; invalid: to the process that called
  LogSettings log;
  bool foreground = false;
  bool is_daemon = false;  // the process went to the background before an exec
};

// Starts the log and runs `serve`, which tells its readiness. In the foreground it returns when
// `serve` does; in the background, in the calling process, as soon as it is ready (with
// options.ready: at once), and in the daemon as in the foreground. Returns the exit code. Throws
// what `serve` throws; in the background only what came before it was ready. Only while there is
// one thread, and no other descriptor to be kept but those that close at exec.
int RunInBackground(BackgroundOptions options, const std::function<void(ReadinessReport&)>& serve);

}  // namespace firn

#endif  // FIRN_MOUNTD_READINESS_REPORT_H_
