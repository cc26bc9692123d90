#ifndef FIRN_MOUNTD_ERROR_COUNTERS_H_
#define FIRN_MOUNTD_ERROR_COUNTERS_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <string>

namespace firn {

// Requests that were answered with an error because something went wrong, by what did.
struct ErrorCounters {
  std::atomic<uint64_t> damaged{0};   // bytes of the image are not what they must be
  std::atomic<uint64_t> memory{0};    // allocation failed
  std::atomic<uint64_t> poisoned{0};  // requests that end the worker each time
  std::atomic<uint64_t> other{0};     // the image cannot be read, and everything else

  // By these names.
  std::map<std::string, uint64_t> Snapshot() const {
    return {{"damaged", damaged.load()},
            {"memory", memory.load()},
            {"poisoned", poisoned.load()},
            {"other", other.load()}};
  }
};

}  // namespace firn

#endif  // FIRN_MOUNTD_ERROR_COUNTERS_H_
