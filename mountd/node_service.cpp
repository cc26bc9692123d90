#include "mountd/node_service.h"

#include <unistd.h>

#include <filesystem>
#include <vector>

#include "mountd/background.h"
#include "mountd/fuse_mount.h"
#include "mountd/log.h"
#include "mountd/namespace.h"
#include "mountd/readiness.h"
#include "mountd/readiness_report.h"
#include "mountd/service_manager.h"

namespace firn {
namespace {

void ServeNode(const NodeServiceOptions& options, ReadinessReport& report) {
  if (!MayMount()) EnterJobNamespace();
  const SignalSource signals;
  RaiseDescriptorLimit();
  NodeDaemon daemon(options.node);
  report.Tell(
      FormatReady({.pid = getpid(), .view = ViewKind::kOverlay, .control = daemon.socket_path()}));
  LogInfo("serving the node at {}", daemon.socket_path());
  TellServiceReady();
  daemon.Run(signals);
  TellServiceStopping();
  LogInfo("the service of the node ended");
}

}  // namespace

int RunNodeService(const NodeServiceOptions& options) {
  OpenStandardStreams();
  std::vector<int> kept;
  if (options.ready_fd >= 0) kept.push_back(options.ready_fd);
  CloseOtherDescriptors(kept);
  LogSettings log = options.log;
  if (!log.file.empty()) {
    log.file = std::filesystem::absolute(log.file).lexically_normal().string();
  }
  return RunInBackground(
      {.ready = FileDescriptor(options.ready_fd), .log = log, .foreground = options.foreground},
      [&](ReadinessReport& report) { ServeNode(options, report); });
}

}  // namespace firn
