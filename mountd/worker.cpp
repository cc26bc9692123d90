#include "mountd/worker.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
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
#include "mountd/file_system_tasks.h"
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

#ifdef FIRN_SANITIZED
constexpr bool kIsSanitized = true;  // its runtime opens files and starts processes
#else
constexpr bool kIsSanitized = false;
#endif

// How often the kernel's references to detached images are looked at, in milliseconds.
constexpr int kReleaseInterval = 100;
// How long a worker that takes over puts off serving for images that are not open yet. Those of a
// file system that answers are open by then; requests for the others are parked.
constexpr std::chrono::milliseconds kOpeningPatience{1000};

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

// What a keeper of an earlier version does not say is as it was then.
ExtentCheck CheckFrom(const json& body) {
  const auto check = ParseExtentCheck(body.value("verify", std::string("checksum")));
  if (check) return *check;
  throw Error(ErrorKind::kInternal, "expected verify to be checksum or proof");
}

std::optional<Digest> ExpectedIdFrom(const json& body) {
  const std::string text = body.value("expected_id", std::string());
  if (text.empty()) return std::nullopt;
  const std::optional<Digest> id = ParseImageId(text);
  if (id) return id;
  throw Error(ErrorKind::kInternal, "expected an image id, found '" + text + "'");
}

class Worker {
 public:
  explicit Worker(WorkerChannel& channel)
      : channel_(channel), opened_event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!opened_event_.valid()) {
      throw SystemError(ErrorKind::kInternal, errno, "cannot make an eventfd");
    }
  }

  void Run() {
    while (!drained_) {
      pollfd set[] = {{channel_.ended() ? -1 : channel_.fd(), POLLIN, 0},
                      {session_ ? session_->ended_fd() : -1, POLLIN, 0},
                      {opened_event_.get(), POLLIN, 0}};
      if (channel_.ended() && !session_) return;
      if (poll(set, std::size(set), detached_.empty() ? -1 : kReleaseInterval) < 0) continue;
      if (set[1].revents != 0) break;
      TakeOpened();
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
  // An image that is being opened, and what is to be done when it is.
  struct Opening {
    FileSystemId file_system{};
    uid_t owner = 0;
    bool proved = false;
    bool detach = false;
    bool prove = false;
  };
  // What came of it: an image, or an answer with an error.
  struct Opened {
    SlotNumber slot;
    std::shared_ptr<const Image> image;
    json answer;
  };

  // The worker's dispatcher of requests by the keeper: what fails is the answer.
  void Answer(WorkerChannel::Message& message) {
    try {
      if (const std::optional<json> answer = Do(message)) channel_.Send(*answer);
    } catch (const Error& error) {
      channel_.Send({{"error", ErrorToJson(error)}});
    } catch (const std::exception& error) {
      channel_.Send({{"error", ErrorToJson(Error(ErrorKind::kInternal, error.what()))}});
    }
  }

  std::optional<json> Do(WorkerChannel::Message& message) {
    const std::string op = message.body.value("op", std::string());
    if (op == "start") return Start(message);
    if (op == "attach" && memory_) {
      Attach(message);
      return std::nullopt;
    }
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

  void Attach(WorkerChannel::Message& message) {
    const json& body = message.body;
    const SlotNumber slot{body.at("slot").get<uint32_t>()};
    const FileSystemId file_system{body.at("file_system").get<uint64_t>()};
    opening_[slot] = {.file_system = file_system,
                      .owner = body.value("owner", uid_t{0}),
                      .proved = body.at("proved")};
    if (session_) session_->gate().Add(slot, file_system, /*is_open=*/false);
    const ImageOptions options{.allow_foreign = body.at("foreign"),
                               .drop_stored = body.at("drop_stored"),
                               .check = CheckFrom(body),
                               .expected_id = ExpectedIdFrom(body),
                               .bytes_read = &memory_->state().bytes_read};
    auto file = std::make_shared<FileDescriptor>(std::move(DescriptorOf(message, 0)));
    tasks_.Post(file_system, [this, slot, file, options, path = body.at("path")] {
      Opened opened = Open(slot, std::move(*file), path, options);
      const std::lock_guard lock(mutex_);
      opened_.push_back(std::move(opened));
      const uint64_t one = 1;
      // It cannot fail but by 2^64 images that nobody took.
      [[maybe_unused]] const ssize_t written = write(opened_event_.get(), &one, sizeof one);
    });
  }

  // In a thread of the tasks: what fails is the answer.
  Opened Open(SlotNumber slot, FileDescriptor file, const std::string& path,
              const ImageOptions& options) {
    Opened opened{.slot = slot, .image = nullptr, .answer = {{"opened", ToInt(slot)}}};
    try {
      opened.image = Image::Open(std::move(file), path, *cache_, options);
      struct statfs system {};
      opened.answer["on_fuse"] =
          fstatfs(opened.image->fd(), &system) != 0 || system.f_type == FUSE_SUPER_MAGIC;
      opened.answer["foreign"] = opened.image->foreign();
      opened.answer["has_profile"] = opened.image->has_profile();
      if (!opened.image->foreign()) {
        opened.answer["id"] = FormatImageId(opened.image->id());
        opened.answer["name"] = opened.image->manifest().name;
        opened.answer["prefix"] = opened.image->manifest().prefix;
      }
    } catch (const Error& error) {
      opened.answer["error"] = ErrorToJson(error);
    } catch (const std::exception& error) {
      opened.answer["error"] = ErrorToJson(Error(ErrorKind::kInternal, error.what()));
    }
    return opened;
  }

  void TakeOpened() {
    uint64_t count = 0;
    if (read(opened_event_.get(), &count, sizeof count) < 0) return;
    std::vector<Opened> all;
    {
      const std::lock_guard lock(mutex_);
      all.swap(opened_);
    }
    for (Opened& opened : all) {
      const Opening opening = opening_.extract(opened.slot).mapped();
      if (opened.image && !opened.answer.contains("error")) {
        auto image = std::make_shared<AttachedImage>(
            opened.slot, std::move(opened.image), serve_.threads,
            &memory_->state().lookups[ToInt(opened.slot) % kMostSlots], opening.file_system,
            opening.owner);
        image->SetDigestsProved(opening.proved);
        if (tree_) tree_->Attach(image);
        images_[opened.slot] = std::move(image);
      }
      if (session_) session_->gate().SetOpen(opened.slot);
      channel_.Send(opened.answer);
      if (opening.detach) DetachOpened(opened.slot);
      if (opening.prove) ProveOpened(opened.slot);
    }
  }

  json Serve(WorkerChannel::Message& message) {
    const auto deadline = std::chrono::steady_clock::now() + kOpeningPatience;
    for (auto left = kOpeningPatience; !opening_.empty() && left.count() > 0;
         left = std::chrono::ceil<std::chrono::milliseconds>(deadline -
                                                             std::chrono::steady_clock::now())) {
      pollfd entry{opened_event_.get(), POLLIN, 0};
      if (poll(&entry, 1, static_cast<int>(left.count())) > 0) TakeOpened();
    }
    fuse_ = std::move(DescriptorOf(message, 0));
    tree_.emplace(message.body.at("above_images") ? RootLayout::kSlots : RootLayout::kImageIsRoot);
    for (const auto& [slot, image] : images_) tree_->Attach(image);
    serve_.careful = message.body.at("careful");
    serve_.recorder = record_.valid() ? &recorder_ : nullptr;
    serve_.prefetch = &**prefetch_;
    session_ = std::make_unique<Session>(*tree_, fuse_.get(), *memory_, serve_);
    RequestGate& gate = session_->gate();
    for (const auto& [slot, opening] : opening_) gate.Add(slot, opening.file_system, false);
    for (const auto& [slot, image] : images_) gate.Add(slot, image->file_system(), true);
    session_->Start();
    return {{"ok", true}};
  }

  json Detach(WorkerChannel::Message& message) {
    const SlotNumber slot{message.body.at("slot").get<uint32_t>()};
    if (const auto found = opening_.find(slot); found != opening_.end()) {
      found->second.detach = true;
    } else {
      DetachOpened(slot);
    }
    return {{"ok", true}};
  }

  void DetachOpened(SlotNumber slot) {
    if (!images_.contains(slot)) {  // it could not be opened again
      session_->gate().Remove(slot);
      channel_.Send({{"released", ToInt(slot)}});
      return;
    }
    const AttachedImage& image = *images_.at(slot);
    if (const auto prover = provers_.find(image.file_system()); prover != provers_.end()) {
      prover->second.Drop(image);
    }
    tree_->Detach(slot);
    session_->InvalidateRootEntry(SlotName(slot));
    detached_.insert(slot);
  }

  void ReleaseForgotten() {
    std::erase_if(detached_, [this](SlotNumber slot) {
      if (tree_->IsInUse(slot)) return false;
      tree_->Release(slot);
      session_->gate().Remove(slot);
      // Closing it may have to wait for what reads ahead in it.
      std::shared_ptr<AttachedImage> image = std::move(images_.extract(slot).mapped());
      const FileSystemId file_system = image->file_system();
      tasks_.Post(file_system, [image = std::move(image)]() mutable { image.reset(); });
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
    if (const auto found = opening_.find(slot); found != opening_.end()) {
      found->second.prove = true;
    } else {
      ProveOpened(slot);
    }
    return {{"ok", true}};
  }

  void ProveOpened(SlotNumber slot) {
    const auto found = images_.find(slot);
    if (found == images_.end()) {
      channel_.Send({{"proved", ToInt(slot)}, {"ok", false}});
      return;
    }
    const auto tell = [this, slot](bool is_right) {
      channel_.Send({{"proved", ToInt(slot)}, {"ok", is_right}});
    };
    provers_[found->second->file_system()].Add(found->second, tell);
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
  std::map<SlotNumber, Opening> opening_;
  std::set<SlotNumber> detached_;
  std::optional<Tree> tree_;
  FileDescriptor fuse_;
  std::unique_ptr<Session> session_;
  std::mutex mutex_;
  std::vector<Opened> opened_;  // that the main thread has not seen
  FileDescriptor opened_event_;
  // Last, as their threads use the others. A file system that hangs holds up its own alone.
  std::map<FileSystemId, Prover> provers_;
  FileSystemTasks tasks_;
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
