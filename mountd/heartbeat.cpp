#include "mountd/heartbeat.h"

namespace firn {

Heartbeat::Heartbeat(std::atomic<uint64_t>& beats) : beats_(beats), thread_([this] { Beat(); }) {}

Heartbeat::~Heartbeat() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Heartbeat::Beat() {
  std::unique_lock lock(mutex_);
  do {
    beats_.fetch_add(1, std::memory_order_relaxed);
  } while (!changed_.wait_for(lock, kHeartbeatInterval, [this] { return ending_; }));
}

}  // namespace firn
