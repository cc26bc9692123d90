#include "mountd/supervised_worker.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "mountd/carried_error.h"
#include "mountd/heartbeat.h"
#include "mountd/keeper_exec.h"
#include "mountd/log.h"
#include "mountd/subprocess.h"

namespace firn {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

// A worker is given up for dead at so many looks in a row that find no beat: one second.
constexpr milliseconds kCheckInterval = kHeartbeatInterval + milliseconds(50);
constexpr unsigned kMostSilentChecks = 4;
// A killed process that does not die hangs in the kernel; nobody waits for it longer.
constexpr milliseconds kDeathTimeout{500};
// Workers that crash more often than this within kCrashWindow are started after a pause.
constexpr size_t kCrashesWithoutPause = 5;
constexpr seconds kCrashWindow{30};
constexpr milliseconds kFirstPause{100};
constexpr milliseconds kLongestPause{5000};
constexpr milliseconds kDrainTimeout{5000};
constexpr milliseconds kOpeningTimeout{2000};

std::string DescribeExit(int exit_code) {
  if (exit_code < 128) return "exit code " + std::to_string(exit_code);
  const int number = exit_code - 128;
  return "signal " + std::to_string(number) + " (" + strsignal(number) + ")";
}

Error WorkerEnded() {
  return Error(ErrorKind::kNoReply, "firnd's worker ended before it was ready",
               "The log may say why.");
}

ImageFacts FactsFrom(const json& answer) {
  return {.foreign = answer.value("foreign", false),
          .on_fuse = answer.value("on_fuse", false),
          .has_profile = answer.value("has_profile", false),
          .id = answer.value("id", std::string()),
          .name = answer.value("name", std::string()),
          .prefix = answer.value("prefix", std::string())};
}

}  // namespace

SupervisedWorker::SupervisedWorker(WorkerSettings settings, SharedPrefetchState& prefetch)
    : settings_(std::move(settings)), prefetch_(prefetch), memory_(std::in_place) {}

SupervisedWorker::~SupervisedWorker() {
  images_.clear();  // nobody is called back any more
  if (!is_left_) End();
}

void SupervisedWorker::End() {
  if (!current_) return;
  // Without its session there is nothing to finish.
  if (current_->channel.Send({{"op", "drain"}})) {
    const Clock::time_point deadline = Clock::now() + kDrainTimeout;
    bool is_dead = false;
    while (!is_dead && Clock::now() < deadline) {
      is_dead = IsReadable(current_->pidfd.get(), milliseconds(10));
      while (const auto message = current_->channel.Receive()) IsAnswer(*current_, message->body);
    }
  }
  kill(current_->pid, SIGKILL);
  if (IsReadable(current_->pidfd.get(), kDeathTimeout)) WaitForExit(current_->pid);
  current_.reset();
}

SupervisedWorker::Process SupervisedWorker::Spawn(const std::string& program) const {
  auto [ours, theirs] = WorkerChannel::MakeSockets();
  const pid_t pid = firn::Spawn({program, "--work-socket-fd=" + std::to_string(theirs.get())},
                                {.inherited = {theirs.get()}});
  if (pid < 0) {
    throw SystemError(ErrorKind::kSystem, -pid, "cannot start firnd's worker",
                      "Check the limits on processes (ulimit -u, the job's pids limit).")
        .WithPath(program);
  }
  FileDescriptor pidfd = OpenProcess(pid);
  if (!pidfd.valid()) {
    kill(pid, SIGKILL);
    WaitForExit(pid);
    throw SystemError(ErrorKind::kSystem, errno, "cannot watch firnd's worker");
  }
  return {pid, std::move(pidfd), WorkerChannel(std::move(ours)), IdentityOf(pid)};
}

void SupervisedWorker::SendStart(Process& process) {
  PassLogLevel();
  std::vector<int> fds = {memory_->fd(), prefetch_.fd()};
  if (settings_.record.valid()) fds.push_back(settings_.record.get());
  process.channel.Send({{"op", "start"},
                        {"threads", settings_.threads},
                        {"cache_bytes", settings_.cache_bytes},
                        {"max_background", settings_.max_background},
                        {"record", settings_.record.valid()}},
                       fds);
  ++process.due;
}

void SupervisedWorker::SendAttach(Process& process, const WorkerImage& image) {
  process.channel.Send({{"op", "attach"},
                        {"slot", ToInt(image.slot)},
                        {"file_system", static_cast<uint64_t>(image.file_system)},
                        {"path", image.path},
                        {"foreign", image.foreign},
                        {"drop_stored", image.drop_stored},
                        {"proved", image.proved},
                        {"verify", ToString(image.check)},
                        {"expected_id", image.expected_id},
                        {"owner", image.owner}},
                       std::array{image.file.get()});
  process.opening.insert(image.slot);
}

void SupervisedWorker::SendSlot(Process& process, const char* operation, SlotNumber slot) {
  process.channel.Send({{"op", operation}, {"slot", ToInt(slot)}});
  ++process.due;
}

// What the worker before was told of images.
void SupervisedWorker::SendImages(Process& process) const {
  for (const auto& [slot, served] : images_) SendAttach(process, served.image);
}

void SupervisedWorker::SendServe(Process& process, bool careful) const {
  process.channel.Send(
      {{"op", "serve"}, {"above_images", layout_ == RootLayout::kSlots}, {"careful", careful}},
      std::array{fuse_.get()});
  ++process.due;
  for (const auto& [slot, served] : images_) {
    if (served.detached) SendSlot(process, "detach", slot);
    if (served.proved) SendSlot(process, "prove", slot);
  }
}

void SupervisedWorker::TakeOpened(Process& process, const json& body) {
  const SlotNumber slot{body["opened"].get<uint32_t>()};
  process.opening.erase(slot);
  const auto found = images_.find(slot);
  if (!body.contains("error")) {
    if (found == images_.end()) return;
    const ImageFacts facts = FactsFrom(body);
    found->second.failed = nullptr;
    if (const auto attached = std::exchange(found->second.attached, nullptr)) attached(facts);
    return;
  }
  const Error error = ErrorFromJson(body["error"]);
  if (found == images_.end() || !found->second.failed) {
    // One that an earlier worker had opened stays: it may come back, and has users.
    LogError("{}", error.what());
    process.refused = error;
    return;
  }
  const auto failed = std::move(found->second.failed);
  images_.erase(found);
  failed(error);
}

bool SupervisedWorker::IsAnswer(Process& process, const json& body) {
  try {
    if (body.contains("error")) ErrorFromJson(body["error"]);  // is it one, for who reads it?
    return !IsEvent(process, body);
  } catch (const json::exception& error) {
    // One that an image has taken over must not end the keeper of all others.
    LogError("worker {} says what no worker says ({}), and is replaced", process.pid, error.what());
    kill(process.pid, SIGKILL);
    return false;
  }
}

bool SupervisedWorker::IsEvent(Process& process, const json& body) {
  if (const auto level = body.find("log"); level != body.end() && level->is_number_integer()) {
    const int number = std::clamp(level->get<int>(), 0, static_cast<int>(LogLevel::kError));
    LogLine(static_cast<LogLevel>(number), body.value("message", std::string()),
            LogFieldsFrom(body));
    return true;
  }
  if (const auto slot = body.find("opened"); slot != body.end() && slot->is_number_unsigned()) {
    TakeOpened(process, body);
    return true;
  }
  for (const char* event : {"released", "proved"}) {
    const auto number = body.find(event);
    if (number == body.end() || !number->is_number_unsigned()) continue;
    const auto found = images_.find(SlotNumber{number->get<uint32_t>()});
    if (found == images_.end()) return true;
    Served& served = found->second;
    if (event == std::string_view("proved")) {
      served.image.proved = body.value("ok", false);
      if (const auto proved = std::exchange(served.proved, nullptr)) proved(served.image.proved);
    } else {
      const auto released = std::move(served.released);
      images_.erase(found);
      if (released) released();
    }
    return true;
  }
  return false;
}

json SupervisedWorker::Await(Process& process) {
  for (;;) {
    IsReadable(process.channel.fd(), milliseconds(-1));
    const std::optional<WorkerChannel::Message> message = process.channel.Receive();
    if (message && !IsAnswer(process, message->body)) continue;
    if (message && process.due > 0) --process.due;
    if (message && message->body.contains("error")) throw ErrorFromJson(message->body["error"]);
    if (message) return message->body;
    if (!process.channel.ended()) continue;
    throw WorkerEnded();
  }
}

void SupervisedWorker::Start() {
  current_ = Spawn("/proc/self/exe");
  SendStart(*current_);
  Await(*current_);
  settings_.record.Close();  // a second copy would keep its reader waiting
}

ImageFacts SupervisedWorker::AttachNow(WorkerImage image) {
  const SlotNumber slot = image.slot;
  std::optional<ImageFacts> facts;
  std::optional<Error> error;
  Attach(
      std::move(image), [&](const ImageFacts& told) { facts = told; },
      [&](const Error& told) { error = told; });
  while (!facts && !error && !current_->channel.ended()) {
    IsReadable(current_->channel.fd(), milliseconds(-1));
    while (const auto message = current_->channel.Receive()) IsAnswer(*current_, message->body);
  }
  if (facts) return *facts;
  images_.erase(slot);
  throw error ? *error : WorkerEnded();
}

void SupervisedWorker::AwaitImages(Process& process) {
  while (process.due > 0) Await(process);
  const Clock::time_point deadline = Clock::now() + kOpeningTimeout;
  while (!process.opening.empty() && Clock::now() < deadline && !process.channel.ended()) {
    IsReadable(process.channel.fd(), milliseconds(10));
    while (const auto message = process.channel.Receive()) IsAnswer(process, message->body);
  }
  if (process.channel.ended()) throw WorkerEnded();
  if (process.refused) throw *process.refused;
}

void SupervisedWorker::Serve(FileDescriptor fuse, RootLayout layout) {
  if (fuse_.valid()) {
    End();
    memory_.emplace();
    Start();
    SendImages(*current_);
    AwaitImages(*current_);
  }
  fuse_ = std::move(fuse);
  layout_ = layout;
  SendServe(*current_, /*careful=*/false);
  Await(*current_);
}

void SupervisedWorker::Attach(WorkerImage image, std::function<void(const ImageFacts&)> attached,
                              std::function<void(const Error&)> failed) {
  // Where there is no worker, the next one is told.
  if (current_) SendAttach(*current_, image);
  const SlotNumber slot = image.slot;
  images_[slot] = {
      .image = std::move(image), .attached = std::move(attached), .failed = std::move(failed)};
}

void SupervisedWorker::Detach(SlotNumber slot, std::function<void()> released) {
  Served& served = images_.at(slot);
  served.detached = true;
  served.released = std::move(released);
  if (current_) SendSlot(*current_, "detach", slot);
}

void SupervisedWorker::Prove(SlotNumber slot, std::function<void(bool is_right)> proved) {
  images_.at(slot).proved = std::move(proved);
  if (current_) SendSlot(*current_, "prove", slot);
}

void SupervisedWorker::Believe(SlotNumber slot) {
  images_.at(slot).image.proved = true;
  if (current_) SendSlot(*current_, "believe", slot);
}

void SupervisedWorker::Upgrade() {
  const std::string program = ProgramOnDisk();
  Process next = Spawn(program);
  try {
    SendStart(next);
    SendImages(next);
    AwaitImages(next);
  } catch (const Error&) {
    kill(next.pid, SIGKILL);
    WaitForExit(next.pid);
    throw;
  }
  if (current_) {
    current_->channel.Send({{"op", "drain"}});
    if (!IsReadable(current_->pidfd.get(), kDrainTimeout)) kill(current_->pid, SIGKILL);
    if (IsReadable(current_->pidfd.get(), kDeathTimeout)) {
      WaitForExit(current_->pid);
    } else {
      abandoned_.push_back(current_->pid);
    }
  }
  LogInfo("worker {} takes over from {}, running {}", next.pid, pid(), program);
  current_ = std::move(next);
  restart_at_.reset();
  careful_ = false;
  BeginServing();
}

void SupervisedWorker::BeginServing() {
  if (settings_.replacing) settings_.replacing();
  SendServe(*current_, careful_);
  silent_checks_ = 0;
  next_check_ = Clock::now() + kCheckInterval;
}

void SupervisedWorker::AppendPollSet(std::vector<pollfd>& set) const {
  if (!current_) return;
  set.push_back({current_->channel.ended() ? -1 : current_->channel.fd(), POLLIN, 0});
  set.push_back({current_->pidfd.get(), POLLIN, 0});
}

int SupervisedWorker::PollTimeout(Clock::time_point now) const {
  const Clock::time_point next = restart_at_.value_or(next_check_);
  if (next <= now) return 0;
  return static_cast<int>(std::chrono::ceil<milliseconds>(next - now).count());
}

void SupervisedWorker::PassLogLevel() const {
  memory_->state().log_level.store(static_cast<uint32_t>(CurrentLog().level));
}

void SupervisedWorker::Handle(Clock::time_point now) {
  PassLogLevel();
  ReapAbandoned();
  if (ended_) return;
  if (current_) {
    TakeMessages(now);
    if (IsReadable(current_->pidfd.get(), milliseconds(0))) {
      TakeMessages(now);  // its last words may have come after the look above
      HandleDeath(WaitForExit(current_->pid), now);
    } else {
      CheckHeartbeat(now);
    }
  }
  if (!ended_ && restart_at_ && *restart_at_ <= now) Restart(now);
}

void SupervisedWorker::TakeMessages(Clock::time_point now) {
  while (std::optional<WorkerChannel::Message> message = current_->channel.Receive()) {
    if (IsAnswer(*current_, message->body)) TakeAnswer(message->body, now);
  }
}

void SupervisedWorker::TakeAnswer(const json& body, Clock::time_point now) {
  if (current_->due > 0) --current_->due;
  if (!body.contains("error")) return;
  const Error error = ErrorFromJson(body["error"]);
  LogError("worker {} cannot go on: {}", current_->pid, error.what());
  kill(current_->pid, SIGKILL);
  crashes_.push_back(now);  // so that it is not tried again at once, for ever
}

void SupervisedWorker::CheckHeartbeat(Clock::time_point now) {
  if (killed_at_) {
    if (now - *killed_at_ >= kDeathTimeout) Abandon(now);
    return;
  }
  if (now < next_check_) return;
  next_check_ = now + kCheckInterval;
  const uint64_t beat = memory_->state().heartbeat.load();
  silent_checks_ = beat == last_beat_ ? silent_checks_ + 1 : 0;
  last_beat_ = beat;
  if (silent_checks_ < kMostSilentChecks) return;
  LogWarning("worker {} shows no sign of life: replacing it", current_->pid);
  kill(current_->pid, SIGKILL);
  killed_at_ = now;
  next_check_ = now + kDeathTimeout;
}

void SupervisedWorker::Abandon(Clock::time_point now) {
  LogWarning("worker {} was killed and does not end: it hangs in the kernel", current_->pid);
  abandoned_.push_back(current_->pid);
  HandleDeath(128 + SIGKILL, now);
}

void SupervisedWorker::ReapAbandoned() {
  std::erase_if(abandoned_, [](pid_t pid) { return waitpid(pid, nullptr, WNOHANG) != 0; });
}

void SupervisedWorker::HandleDeath(int exit_code, Clock::time_point now) {
  const pid_t dead = std::exchange(current_, std::nullopt)->pid;
  killed_at_.reset();
  if (exit_code == 0) {
    ended_ = true;
    return;
  }
  careful_ = exit_code != 128 + SIGKILL;
  NoteCrash();
  prefetch_->waiting.store(0);
  if (careful_) crashes_.push_back(now);
  while (!crashes_.empty() && now - crashes_.front() > kCrashWindow) crashes_.pop_front();
  milliseconds pause{0};
  if (crashes_.size() > kCrashesWithoutPause) {
    const auto doublings = std::min<size_t>(crashes_.size() - kCrashesWithoutPause - 1, 10);
    pause = std::min(kFirstPause * (1u << doublings), kLongestPause);
  }
  LogError("worker {} died by {}: starting another in {} ms; its users wait", dead,
           DescribeExit(exit_code), pause.count());
  restart_at_ = now + pause;
}

void SupervisedWorker::NoteCrash() {
  for (RequestState& request : memory_->state().parked) {
    if (request.being_tried.exchange(0) != 0 && careful_) request.crashes.fetch_add(1);
  }
}

void SupervisedWorker::Restart(Clock::time_point now) {
  try {
    current_ = Spawn("/proc/self/exe");
  } catch (const Error& error) {
    LogError("{}", error.what());
    restart_at_ = now + seconds(1);
    return;
  }
  restart_at_.reset();
  ++restarts_;
  SendStart(*current_);
  SendImages(*current_);
  EndFormer();
  BeginServing();
}

}  // namespace firn
