#include "mountd/service_loop.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "firn_version.h"
#include "format/json_input.h"
#include "mountd/json_line.h"
#include "mountd/log.h"
#include "mountd/log_control.h"
#include "mountd/mount_table.h"
#include "mountd/prefetch_status.h"

namespace firn {
namespace {

using nlohmann::json;

std::string Refusal(const std::string& message) {
  return JsonLine(
      {{"error", {{"kind", static_cast<int>(ErrorKind::kUsage)}, {"message", message}}}});
}

}  // namespace

SignalSource::SignalSource() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, number);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  fd_ = FileDescriptor(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd_.valid()) throw SystemError(ErrorKind::kInternal, errno, "cannot make a signalfd");
}

int SignalSource::Take() const {
  signalfd_siginfo info{};
  return read(fd_.get(), &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
}

ServiceLoop::ServiceLoop(Parts parts)
    : parts_(std::move(parts)),
      control_(RuntimeDirectory::MakeOwn(),
               [this](std::string_view request) { return Answer(request); }) {}

void ServiceLoop::Run() {
  std::vector<pollfd> set;
  for (;;) {
    set = {{parts_.signals.fd(), POLLIN, 0}, {parts_.prefetch.ended_fd(), POLLIN, 0}};
    control_.AppendPollSet(set);
    parts_.worker.AppendPollSet(set);
    const auto now = ControlServer::Clock::now();
    // As unsigned numbers, -1 is the longest.
    const unsigned timeout = std::min(static_cast<unsigned>(control_.PollTimeout(now)),
                                      static_cast<unsigned>(parts_.worker.PollTimeout(now)));
    if (poll(set.data(), set.size(), static_cast<int>(timeout)) < 0 && errno != EINTR) {
      throw SystemError(ErrorKind::kInternal, errno, "cannot poll");
    }
    parts_.worker.Handle(ControlServer::Clock::now());
    if (parts_.worker.ended()) return;
    if (set[1].revents != 0) parts_.prefetch.Reap();
    if (set[0].revents != 0 && HandleSignals()) return;
    control_.Handle(set, ControlServer::Clock::now());
  }
}

bool ServiceLoop::HandleSignals() {
  while (const int number = parts_.signals.Take()) {
    if (parts_.is_mounted_by_caller) continue;
    if (++signals_seen_ > 1) {
      LogWarning("{} again: ending, though the image may be in use", strsignal(number));
      return true;
    }
    LogInfo("{}: unmounting {}", strsignal(number), parts_.shown_at);
    parts_.prefetch.Stop();
    switch (parts_.attachment.Unmount()) {
      case Attachment::Unmounted::kGone:
        break;
      case Attachment::Unmounted::kInUse:
        LogInfo("{} is in use: serving until the last user is gone", parts_.shown_at);
        break;
      case Attachment::Unmounted::kCovered:
        LogWarning("{}: another mount covers the image; unmount that one first", parts_.shown_at);
        signals_seen_ = 0;
        break;
    }
  }
  return false;
}

std::string ServiceLoop::Answer(std::string_view request) const {
  const json message = ParseJsonMessage(request);
  if (!message.is_object()) return Refusal("expected a JSON object");
  LogDebug("asked on the control socket: {}", request);
  if (std::optional<std::string> answer = AnswerLogRequest(message)) return *std::move(answer);
  const auto op = message.find("op");
  if (op != message.end() && *op == "stop_prefetch") {
    parts_.prefetch.Stop();
  } else if (op == message.end() || *op != "status") {
    return Refusal("expected an op: status, stop_prefetch, log, set_log_level or reopen_log");
  }
  return JsonLine(ToJson(Status()));
}

SessionStatus ServiceLoop::Status() const {
  const SupervisedWorker& worker = parts_.worker;
  const SessionState& state = worker.state();
  const Attachment& attachment = parts_.attachment;
  SessionStatus status;
  status.image = parts_.image;
  status.foreign = parts_.facts.foreign;
  status.id = parts_.facts.id;
  status.name = parts_.facts.name;
  status.prefix = parts_.facts.prefix;
  status.mount_point = parts_.shown_at;
  status.job = parts_.is_job;
  status.namespace_id = OwnMountNamespace();
  status.view = ToString(attachment.view());
  status.view_reason = attachment.view_reason();
  status.pid = getpid();
  status.worker = worker.pid();
  status.restarts = worker.restarts();
  status.uid = geteuid();
  status.version = FIRN_VERSION;
  status.control = control_.path();
  status.started = std::chrono::system_clock::to_time_t(started_);
  status.age = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() -
                                                                started_steady_)
                   .count();
  status.threads = worker.settings().threads;
  status.requests = state.requests.Snapshot();
  status.requests_total = state.requests.Total();
  status.decoded = state.cache.DecodedByKind();
  status.cache_hits = state.cache.hits.load();
  status.cache_bytes = state.cache.bytes.load();
  status.cache_capacity = worker.settings().cache_bytes;
  status.bytes_read = state.bytes_read.load();
  status.prefetch = PrefetchStatusOf(parts_.prefetch.state());
  status.errors = state.errors.Snapshot();
  return status;
}

}  // namespace firn
