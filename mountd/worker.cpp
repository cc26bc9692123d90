#include "mountd/worker.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "mountd/access_recorder.h"
#include "mountd/background.h"
#include "mountd/carried_error.h"
#include "mountd/heartbeat.h"
#include "mountd/log.h"
#include "mountd/prefetch_state.h"
#include "mountd/privileges.h"
#include "mountd/prover.h"
#include "mountd/session.h"
#include "mountd/worker_channel.h"

namespace firn {
namespace {

using nlohmann::json;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kIsSanitized = true;  // its runtime opens files and starts processes
#else
constexpr bool kIsSanitized = false;
#endif

// How often the kernel's references to detached images are looked at, in milliseconds.
constexpr int kReleaseInterval = 100;

void WriteProfile(int fd, const std::string& text) {
  for (size_t done = 0; done < text.size();) {
    const ssize_t written = write(fd, text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      LogWarning("nobody takes the recorded profile: {}", std::strerror(errno));
      return;
    }
    done += static_cast<size_t>(written);
  }
}

class Worker {
 public:
  explicit Worker(WorkerChannel& channel) : channel_(channel) {}

  void Run() {
    while (!drained_) {
      pollfd set[] = {{channel_.ended() ? -1 : channel_.fd(), POLLIN, 0},
                      {session_ ? session_->ended_fd() : -1, POLLIN, 0}};
      if (channel_.ended() && !session_) return;
      if (poll(set, std::size(set), detached_.empty() ? -1 : kReleaseInterval) < 0) continue;
      if (set[1].revents != 0) break;
      ReleaseForgotten();
      if (set[0].revents == 0) continue;
      while (std::optional<WorkerChannel::Message> message = channel_.Receive()) Answer(*message);
    }
    session_.reset();
    if (tree_ && record_.valid()) {
      WriteProfile(record_.get(), recorder_.MakeProfile(*tree_).ToText());
    }
  }

 private:
  // The worker's dispatcher of requests by the keeper: what fails is the answer.
  void Answer(WorkerChannel::Message& message) {
    try {
      channel_.Send(Do(message));
    } catch (const Error& error) {
      channel_.Send({{"error", ErrorToJson(error)}});
    } catch (const std::exception& error) {
      channel_.Send({{"error", ErrorToJson(Error(ErrorKind::kInternal, error.what()))}});
    }
  }

  json Do(WorkerChannel::Message& message) {
    const std::string op = message.body.value("op", std::string());
    if (op == "start") return Start(message);
    if (op == "attach" && memory_) return Attach(message);
    if (op == "serve" && memory_) return Serve(message);
    if (op == "detach" && session_) return Detach(message);
    if (op == "prove" && memory_) return Prove(message);
    if (op == "believe" && memory_) return Believe(message);
    if (op == "drain") {
      session_.reset();
      drained_ = true;
      return {{"ok", true}};
    }
    throw Error(ErrorKind::kInternal,
                "expected an operation that is possible now, found '" + op + "'");
  }

  static FileDescriptor& DescriptorOf(WorkerChannel::Message& message, size_t index) {
    if (index < message.fds.size()) return message.fds[index];
    throw Error(ErrorKind::kInternal, "expected a descriptor with the message, found none");
  }

  json Start(WorkerChannel::Message& message) {
    memory_.emplace(std::move(DescriptorOf(message, 0)));
    prefetch_.emplace(DescriptorOf(message, 1));
    if (message.body.at("record")) record_ = std::move(DescriptorOf(message, 2));
    FollowLogLevel(memory_->state().log_level);
    serve_.threads = message.body.at("threads");
    serve_.max_background = message.body.at("max_background");
    cache_.emplace(message.body.at("cache_bytes").get<size_t>(), &memory_->state().cache);
    heartbeat_.emplace(memory_->state().heartbeat);
    return {{"ok", true}};
  }

  json Attach(WorkerChannel::Message& message) {
    const json& body = message.body;
    const SlotNumber slot{body.at("slot").get<uint32_t>()};
    std::shared_ptr<const Image> image =
        Image::Open(std::move(DescriptorOf(message, 0)), body.at("path"), *cache_,
                    {.allow_foreign = body.at("foreign"),
                     .drop_stored = body.at("drop_stored"),
                     .bytes_read = &memory_->state().bytes_read});
    json answer = {
        {"ok", true}, {"foreign", image->foreign()}, {"has_profile", image->has_profile()}};
    if (!image->foreign()) {
      answer["id"] = FormatImageId(image->id());
      answer["name"] = image->manifest().name;
      answer["prefix"] = image->manifest().prefix;
    }
    auto attached =
        std::make_shared<AttachedImage>(slot, std::move(image), serve_.threads,
                                        &memory_->state().lookups[ToInt(slot) % kMostSlots]);
    attached->SetDigestsProved(body.at("proved"));
    if (tree_) tree_->Attach(attached);
    images_[slot] = std::move(attached);
    return answer;
  }

  json Serve(WorkerChannel::Message& message) {
    fuse_ = std::move(DescriptorOf(message, 0));
    tree_.emplace(message.body.at("above_images") ? RootLayout::kSlots : RootLayout::kImageIsRoot);
    for (const auto& [slot, image] : images_) tree_->Attach(image);
    serve_.careful = message.body.at("careful");
    serve_.recorder = record_.valid() ? &recorder_ : nullptr;
    serve_.prefetch = &**prefetch_;
    session_ = std::make_unique<Session>(*tree_, fuse_.get(), *memory_, serve_);
    session_->Start();
    return {{"ok", true}};
  }

  json Detach(WorkerChannel::Message& message) {
    const SlotNumber slot{message.body.at("slot").get<uint32_t>()};
    // One that an earlier worker had and that cannot be opened any more is gone already.
    if (!images_.contains(slot)) {
      channel_.Send({{"released", ToInt(slot)}});
      return {{"ok", true}};
    }
    tree_->Detach(slot);
    session_->InvalidateRootEntry(SlotName(slot));
    detached_.insert(slot);
    return {{"ok", true}};
  }

  void ReleaseForgotten() {
    std::erase_if(detached_, [this](SlotNumber slot) {
      if (tree_->IsInUse(slot)) return false;
      tree_->Release(slot);
      images_.erase(slot);
      channel_.Send({{"released", ToInt(slot)}});
      return true;
    });
  }

  json Believe(WorkerChannel::Message& message) {
    const SlotNumber slot{message.body.at("slot").get<uint32_t>()};
    if (const auto found = images_.find(slot); found != images_.end()) {
      found->second->SetDigestsProved(true);
    }
    return {{"ok", true}};
  }

  json Prove(WorkerChannel::Message& message) {
    const SlotNumber slot{message.body.at("slot").get<uint32_t>()};
    const auto found = images_.find(slot);
    if (found == images_.end()) {  // as in Detach()
      channel_.Send({{"proved", ToInt(slot)}, {"ok", false}});
      return {{"ok", true}};
    }
    prover_.Add(found->second, [this, slot](bool is_right) {
      channel_.Send({{"proved", ToInt(slot)}, {"ok", is_right}});
    });
    return {{"ok", true}};
  }

  WorkerChannel& channel_;
  std::optional<SessionMemory> memory_;
  std::optional<Heartbeat> heartbeat_;
  std::optional<SharedPrefetchState> prefetch_;
  FileDescriptor record_;
  AccessRecorder recorder_;
  ServeOptions serve_;
  bool drained_ = false;
  std::optional<BlockCache> cache_;
  std::map<SlotNumber, std::shared_ptr<AttachedImage>> images_;
  std::set<SlotNumber> detached_;
  std::optional<Tree> tree_;
  FileDescriptor fuse_;
  std::unique_ptr<Session> session_;
  Prover prover_;  // last: its thread uses the others
};

}  // namespace

int RunWorker(int socket) {
  prctl(PR_SET_NAME, "firnd-worker");
  prctl(PR_SET_DUMPABLE, 0);
  // Ctrl-C in a terminal is for the keeper, which ends its worker as it sees fit.
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) signal(number, SIG_IGN);
  // What is logged goes to the keeper; whoever reads its standard error must see the end of that
  // when the keeper ends.
  SilenceStandardStreams();
  CloseOtherDescriptors({socket});
  WorkerChannel channel{FileDescriptor(socket)};
  ForwardLogTo([&](LogLevel level, std::string_view message, const LogFields& fields) {
    channel.Send({{"log", static_cast<int>(level)},
                  {"message", message},
                  {"fields", LogFieldsToJson(fields)}});
  });
  DropPrivileges();
  if (!kIsSanitized) ConfineToServing();
  Worker(channel).Run();
  return 0;
}

}  // namespace firn
