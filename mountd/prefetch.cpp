#include "mountd/prefetch.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "mountd/log.h"
#include "mountd/subprocess.h"

namespace firn {
namespace {

constexpr std::chrono::milliseconds kDeathPatience{200};

}  // namespace

void Prefetch::Start(int image, PusherPlace place, unsigned threads) {
  std::vector<std::string> argv = {
      "/proc/self/exe", "--push-root-fd=" + std::to_string(place.root.get()),
      "--push-state-fd=" + std::to_string(state_.fd()), "--image-fd=" + std::to_string(image),
      "--threads=" + std::to_string(threads)};
  std::vector<int> inherited = {place.root.get(), state_.fd(), image};
  if (place.above_image) argv.emplace_back("--push-above-image");
  if (place.user_namespace.valid()) {
    argv.push_back("--push-user-namespace-fd=" + std::to_string(place.user_namespace.get()));
    inherited.push_back(place.user_namespace.get());
  }
  std::erase_if(abandoned_, [](pid_t pid) { return waitpid(pid, nullptr, WNOHANG) != 0; });
  state_->stage.store(PrefetchStage::kRunning);
  pid_ = Spawn(argv, {.inherited = std::move(inherited)});
  if (pid_ > 0) process_ = OpenProcess(pid_);
  if (pid_ > 0 && process_.valid()) {
    LogDebug("process {} prefetches with {} threads", pid_, threads);
    return;
  }
  LogWarning("nothing is prefetched, as no process can be started: {}",
             std::strerror(pid_ < 0 ? -pid_ : errno));
  Stop();
  state_->stage.store(PrefetchStage::kFailed);
}

void Prefetch::Reset() {
  state_->stage.store(PrefetchStage::kOff);
  for (auto* count :
       {&state_->steps, &state_->done, &state_->missing, &state_->failed, &state_->bytes}) {
    count->store(0);
  }
  for (auto& thread : state_->threads) thread.store(0);
}

bool Prefetch::HasEnded() const {
  return !process_.valid() || IsReadable(process_.get(), std::chrono::milliseconds(0));
}

void Prefetch::Reap() {
  if (pid_ <= 0) return;
  const int exit_code = WaitForExit(std::exchange(pid_, -1));
  process_.Close();
  PrefetchStage running = PrefetchStage::kRunning;
  if (state_->stage.compare_exchange_strong(running, PrefetchStage::kFailed)) {
    LogWarning("the prefetch ended early, with {}", exit_code);
  }
}

void Prefetch::Stop() {
  if (pid_ <= 0) return;
  PrefetchStage running = PrefetchStage::kRunning;
  state_->stage.compare_exchange_strong(running, PrefetchStage::kOff);
  kill(pid_, SIGKILL);
  if (!process_.valid() || IsReadable(process_.get(), kDeathPatience)) {
    Reap();
    return;
  }
  abandoned_.push_back(std::exchange(pid_, -1));
  process_.Close();
}

}  // namespace firn
