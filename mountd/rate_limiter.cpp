#include "mountd/rate_limiter.h"

#include <utility>

namespace firn {

std::optional<uint64_t> RateLimiter::Admit(Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  if (admitted_ == 0 || now - window_start_ >= window_) {
    window_start_ = now;
    admitted_ = 0;
  }
  if (admitted_ == burst_) {
    ++left_out_;
    return std::nullopt;
  }
  ++admitted_;
  return std::exchange(left_out_, 0);
}

}  // namespace firn
