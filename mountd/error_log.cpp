#include "mountd/error_log.h"

#include <span>

#include "format/digest.h"

namespace firn {

std::optional<uint64_t> ErrorLog::Admit(std::string_view message,
                                        RateLimiter::Clock::time_point now) {
  const uint64_t hash = Xxh3Of(std::as_bytes(std::span(message)));
  {
    const std::lock_guard lock(mutex_);
    if (logged_.contains(hash)) return std::nullopt;
  }
  const std::optional<uint64_t> left_out = limiter_.Admit(now);
  if (!left_out) return std::nullopt;
  const std::lock_guard lock(mutex_);
  if (logged_.size() >= kMostRemembered) logged_.clear();
  logged_.insert(hash);
  return left_out;
}

}  // namespace firn
