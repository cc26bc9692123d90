#include "mountd/readiness_report.h"

#include <signal.h>
#include <unistd.h>

#include <optional>

#include "mountd/background.h"
#include "mountd/init_process.h"
#include "mountd/log.h"
#include "mountd/readiness.h"
#include "mountd/subprocess.h"

namespace firn {
namespace {

// What follows the fork. The error reaches whoever waits, else the log.
int ServeAndReport(const BackgroundOptions& options, ReadinessReport& report,
                   const std::function<void(ReadinessReport&)>& serve) {
  try {
    StartLog(options.log, options.foreground);
    serve(report);
    return 0;
  } catch (const Error& error) {
    if (report.told()) LogError("{}", error.what());
    report.Tell(FormatFailure(error));
    if (options.foreground) throw;
    return error.exit_code();
  } catch (const std::exception& error) {
    const Error internal(ErrorKind::kInternal, error.what());
    if (report.told()) LogError("{}", error.what());
    report.Tell(FormatFailure(internal));
    if (options.foreground) throw;
    return internal.exit_code();
  }
}

}  // namespace

bool ReadinessReport::Tell(const std::string& line) {
  const FileDescriptor fd = std::move(fd_);
  if (!fd.valid()) return true;
  const std::string message = line + "\n";
  return write(fd.get(), message.data(), message.size()) == static_cast<ssize_t>(message.size());
}

int RunInBackground(BackgroundOptions options, const std::function<void(ReadinessReport&)>& serve) {
  signal(SIGPIPE, SIG_IGN);
  FileDescriptor ready = std::move(options.ready);
  if (options.foreground || options.is_daemon) {
    if (const std::optional<int> exit_code = LeaveProcessOne()) return *exit_code;
    ReadinessReport report(std::move(ready));
    return ServeAndReport(options, report, serve);
  }
  Pipe own;
  if (!ready.valid()) {
    own = MakePipe();
    ready = std::move(own.write_end);
  }
  if (ForkIntoBackground()) {
    own.read_end.Close();
    ReadinessReport report(std::move(ready));
    return ServeAndReport(options, report, serve);
  }
  ready.Close();
  if (own.read_end.valid()) ParseReadiness(ReadLine(own.read_end.get()));
  return 0;
}

}  // namespace firn
