// What a keeper does with the session that another keeper has left.

#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "mountd/log.h"
#include "mountd/subprocess.h"
#include "mountd/supervised_worker.h"

namespace firn {
namespace {

using std::chrono::milliseconds;

// Images are opened before the worker that was left is ended, so that nobody waits for it; but an
// image on a storage that hangs must not keep the others.
constexpr milliseconds kOpenTimeout{5000};

}  // namespace

SupervisedWorker::SupervisedWorker(WorkerSettings settings, SharedPrefetchState& prefetch,
                                   FileDescriptor memory, FileDescriptor fuse, RootLayout layout,
                                   ProcessIdentity former)
    : settings_(std::move(settings)),
      prefetch_(prefetch),
      memory_(std::in_place, std::move(memory)),
      fuse_(std::move(fuse)),
      layout_(layout),
      former_(former) {}

void SupervisedWorker::Restore(WorkerImage image) {
  const SlotNumber slot = image.slot;
  images_[slot].image = std::move(image);
}

void SupervisedWorker::TakeOver() {
  const pid_t former = former_.pid;
  try {
    current_ = Spawn("/proc/self/exe");
  } catch (const Error& error) {
    LogError("{}", error.what());
    restart_at_ = Clock::now() + std::chrono::seconds(1);
    return;
  }
  ++restarts_;
  SendStart(*current_);
  SendImages(*current_);
  const Clock::time_point deadline = Clock::now() + kOpenTimeout;
  while ((current_->due > 0 || !current_->opening.empty()) && !current_->channel.ended() &&
         Clock::now() < deadline) {
    IsReadable(current_->channel.fd(), milliseconds(100));
    TakeMessages(Clock::now());
  }
  LogInfo("worker {} takes over from {}, which an earlier firnd left", current_->pid, former);
  EndFormer();
  BeginServing();
}

// What it had read and not answered stands in the session's memory for the next one.
void SupervisedWorker::EndFormer() {
  if (former_.pid == 0) return;
  const FileDescriptor process = OpenProcess(former_);
  careful_ = !KillProcess(process);  // it had died of itself
  NoteCrash();
  // A child only where this process was its keeper before it exec'd.
  if (process.valid() && waitpid(former_.pid, nullptr, WNOHANG) == 0) {
    abandoned_.push_back(former_.pid);
  }
  former_ = {};
}

}  // namespace firn
