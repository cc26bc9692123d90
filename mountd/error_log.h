#ifndef FIRN_MOUNTD_ERROR_LOG_H_
#define FIRN_MOUNTD_ERROR_LOG_H_

#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_set>

#include "mountd/rate_limiter.h"

namespace firn {

// One image's share of the log: who made it decides how often it fails, and must not keep errors of
// others out. Thread-safe.
class ErrorLog {
 public:
  // Nothing where the message must be left out, as it was logged before (a damaged block that a
  // thousand processes want is one damaged block) or too many were; otherwise how many were left
  // out for that since the last one that was not.
  std::optional<uint64_t> Admit(std::string_view message, RateLimiter::Clock::time_point now);

 private:
  static constexpr size_t kMostRemembered = 1024;

  RateLimiter limiter_{20, std::chrono::seconds(10)};
  std::mutex mutex_;
  std::unordered_set<uint64_t> logged_;  // hashes, as messages are as long as their makers like
};

}  // namespace firn

#endif  // FIRN_MOUNTD_ERROR_LOG_H_
