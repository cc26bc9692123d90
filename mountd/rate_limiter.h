#ifndef FIRN_MOUNTD_RATE_LIMITER_H_
#define FIRN_MOUNTD_RATE_LIMITER_H_

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>

namespace firn {

// Keeps a log readable when the same thing fails over and over. Thread-safe.
class RateLimiter {
 public:
  using Clock = std::chrono::steady_clock;

  // At most `burst` in each `window`, which begins with the first one in it.
  RateLimiter(uint64_t burst, Clock::duration window) : burst_(burst), window_(window) {}

  // Nothing where it must be left out; otherwise how many were left out since the last that was
  // not.
  std::optional<uint64_t> Admit(Clock::time_point now);

 private:
  const uint64_t burst_;
  const Clock::duration window_;
  std::mutex mutex_;
  Clock::time_point window_start_{};
  uint64_t admitted_ = 0;  // in this window
  uint64_t left_out_ = 0;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_RATE_LIMITER_H_
