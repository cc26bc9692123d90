#include "mountd/service_loop.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "firn_version.h"
#include "mountd/json_line.h"
#include "mountd/log.h"
#include "mountd/mount_table.h"

namespace firn {
namespace {

using nlohmann::json;

std::string Refusal(const std::string& message) {
  return JsonLine(
      {{"error", {{"kind", static_cast<int>(ErrorKind::kUsage)}, {"message", message}}}});
}

constexpr std::string_view kKindNames[kBlockKinds] = {"data", "fragment", "metadata", "block_map",
                                                      "page"};

std::string_view NameOf(PrefetchStage stage) {
  switch (stage) {
    case PrefetchStage::kOff:
      return "off";
    case PrefetchStage::kRunning:
      return "running";
    case PrefetchStage::kDone:
      return "done";
    case PrefetchStage::kOutOfMemory:
      return "stopped: memory is short";
    case PrefetchStage::kLimit:
      return "stopped: limit reached";
    case PrefetchStage::kFailed:
      return "failed";
  }
  return "off";
}

PrefetchStatus StatusOf(const PrefetchState& state) {
  PrefetchStatus status;
  status.stage = NameOf(state.stage.load());
  status.steps = state.steps.load();
  status.done = state.done.load();
  status.missing = state.missing.load();
  status.failed = state.failed.load();
  status.bytes = state.bytes.load();
  return status;
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
    set = {{parts_.signals.fd(), POLLIN, 0},
           {parts_.attachment.session().ended_fd(), POLLIN, 0},
           {parts_.prefetch.ended_fd(), POLLIN, 0}};
    control_.AppendPollSet(set);
    if (poll(set.data(), set.size(), control_.PollTimeout(ControlServer::Clock::now())) < 0 &&
        errno != EINTR) {
      throw SystemError(ErrorKind::kInternal, errno, "cannot poll");
    }
    if (set[1].revents != 0) return;
    if (set[2].revents != 0) parts_.prefetch.Reap();
    if (set[0].revents != 0 && HandleSignals()) return;
    control_.Handle(set, ControlServer::Clock::now());
  }
}

bool ServiceLoop::HandleSignals() {
  while (const int number = parts_.signals.Take()) {
    if (parts_.is_job) continue;
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
  const json message = json::parse(request, nullptr, /*allow_exceptions=*/false);
  if (!message.is_object()) return Refusal("expected a JSON object");
  const auto op = message.find("op");
  if (op != message.end() && *op == "stop_prefetch") {
    parts_.prefetch.Stop();
  } else if (op == message.end() || *op != "status") {
    return Refusal("expected an op: status or stop_prefetch");
  }
  return JsonLine(ToJson(Status()));
}

SessionStatus ServiceLoop::Status() const {
  const Image& image = parts_.image;
  const Attachment& attachment = parts_.attachment;
  const Session& session = attachment.session();
  SessionStatus status;
  status.image = image.path();
  status.foreign = image.foreign();
  if (!status.foreign) {
    status.id = FormatImageId(image.id());
    status.name = image.manifest().name;
    status.prefix = image.manifest().prefix;
  }
  status.mount_point = parts_.shown_at;
  status.job = parts_.is_job;
  status.namespace_id = OwnMountNamespace();
  status.view = ToString(attachment.view());
  status.view_reason = attachment.view_reason();
  status.pid = getpid();
  status.uid = geteuid();
  status.version = FIRN_VERSION;
  status.control = control_.path();
  status.started = std::chrono::system_clock::to_time_t(started_);
  status.age = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() -
                                                                started_steady_)
                   .count();
  status.threads = session.thread_count();
  status.requests = session.requests().Snapshot();
  status.requests_total = session.requests().Total();
  const BlockCache::Statistics cache = parts_.cache.statistics();
  for (size_t kind = 0; kind < kBlockKinds; ++kind) {
    status.decoded[std::string(kKindNames[kind])] = cache.decoded[kind];
  }
  status.cache_hits = cache.hits;
  status.cache_bytes = cache.bytes;
  status.cache_capacity = cache.capacity;
  status.bytes_read = image.bytes_read();
  status.prefetch = StatusOf(parts_.prefetch.state());
  status.errors = {{"damaged", session.errors().damaged.load()},
                   {"memory", session.errors().memory.load()},
                   {"other", session.errors().other.load()}};
  return status;
}

}  // namespace firn
