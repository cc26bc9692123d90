#include "mountd/prover.h"

#include <fcntl.h>

#include <utility>

#include "format/verify.h"
#include "mountd/log.h"

namespace firn {

Prover::~Prover() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Prover::Add(std::shared_ptr<AttachedImage> image, std::function<void(bool is_right)> done) {
  const std::lock_guard lock(mutex_);
  tasks_.push_back({std::move(image), std::move(done)});
  if (!thread_.joinable()) thread_ = std::thread([this] { Work(); });
  changed_.notify_all();
}

void Prover::Work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return ending_ || !tasks_.empty(); });
    if (ending_) return;
    const Task task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    const bool is_right = IsRight(*task.image);
    lock.lock();
    if (ending_) return;
    if (is_right) task.image->SetDigestsProved(true);
    task.done(is_right);
  }
}

bool Prover::IsRight(const AttachedImage& image) {
  try {
    VerifyOptions options;
    options.progress = [this](uint64_t, uint64_t) {
      const std::lock_guard lock(mutex_);
      if (ending_) throw Error(ErrorKind::kInterrupted, "ending");
    };
    const VerifyReport report =
        Verify(FileDescriptor(fcntl(image.image().fd(), F_DUPFD_CLOEXEC, 0)), image.image().path(),
               options);
    if (report.ok()) return true;
    LogError(
        "{}: damaged, so that its files are not shared with other images: {} findings, the "
        "first at offset {}: {}",
        image.image().path(), report.findings.size(), report.findings.front().offset,
        report.findings.front().message);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInterrupted) LogError("{}", error.what());
  }
  return false;
}

}  // namespace firn
