#include "mountd/node_service.h"

#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <vector>

#include "mountd/background.h"
#include "mountd/fuse_mount.h"
#include "mountd/log.h"
#include "mountd/namespace.h"
#include "mountd/privileges.h"
#include "mountd/readiness.h"
#include "mountd/readiness_report.h"
#include "mountd/service_manager.h"

namespace firn {
namespace {

// An ordinary user's goes back to the namespaces of the one before it.
void EnterNamespaces(Inheritance& inheritance) {
  if (MayMount()) return;
  const FileDescriptor user_namespace = inheritance.Take(NodeDaemon::kUserNamespaceName);
  const FileDescriptor mount_namespace = inheritance.Take(NodeDaemon::kMountNamespaceName);
  if (!user_namespace.valid() || !mount_namespace.valid()) {
    EnterJobNamespace();
    return;
  }
  if (setns(user_namespace.get(), CLONE_NEWUSER) != 0 ||
      setns(mount_namespace.get(), CLONE_NEWNS) != 0) {
    throw SystemError(ErrorKind::kSystem, errno, "cannot enter the namespaces of the firnd before");
  }
}

void ServeNode(const NodeServiceOptions& options, Inheritance inheritance,
               ReadinessReport& report) {
  CapabilitiesOverExec::ForgetExec();
  try {
    if (!inheritance.document().is_null()) inheritance.Check();
  } catch (const Error& error) {
    LogError("{}", error.what());
    inheritance.Refuse({NodeDaemon::kLockName, NodeDaemon::kListenerName, Inheritance::kStateName});
  }
  EnterNamespaces(inheritance);
  // Who starts it for a job does without where it could serve nothing.
  if (!options.node.job.empty()) OpenFuseDevice();
  const SignalSource signals;
  RaiseDescriptorLimit();
  NodeDaemon daemon(options.node, std::move(inheritance));
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
  Inheritance inheritance = Inheritance::Receive();
  const bool has_execd = inheritance.IsOwn();
  std::vector<int> kept = inheritance.numbers();
  if (options.ready_fd >= 0) kept.push_back(options.ready_fd);
  NodeServiceOptions service = options;
  service.node.directory = std::filesystem::current_path().string();
  if (has_execd && !options.foreground && chdir("/") != 0) {
    throw SystemError(ErrorKind::kInternal, errno, "cannot go to the root directory");
  }
  CloseOtherDescriptors(kept);
  LogSettings log = options.log;
  if (!log.file.empty()) {
    log.file = std::filesystem::absolute(log.file).lexically_normal().string();
  }
  return RunInBackground(
      {.ready = FileDescriptor(options.ready_fd),
       .log = log,
       .foreground = options.foreground,
       .is_daemon = has_execd},
      [&](ReadinessReport& report) { ServeNode(service, std::move(inheritance), report); });
}

}  // namespace firn
