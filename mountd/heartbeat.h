#ifndef FIRN_MOUNTD_HEARTBEAT_H_
#define FIRN_MOUNTD_HEARTBEAT_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

namespace firn {

inline constexpr std::chrono::milliseconds kHeartbeatInterval{200};

// Counts up in a thread of its own, so that another process sees that this one is scheduled,
// whatever its other threads wait for.
class Heartbeat {
 public:
  // `beats` outlives it.
  explicit Heartbeat(std::atomic<uint64_t>& beats);
  ~Heartbeat();
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

 private:
  void Beat();

  std::atomic<uint64_t>& beats_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_HEARTBEAT_H_
