#include "mountd/memory_pressure.h"

#include <fstream>
#include <limits>
#include <string>

namespace firn {
namespace {

constexpr uint64_t kLookEvery = uint64_t{16} << 20;
constexpr uint64_t kLeastShare = 16;  // one part in so many must be available

// A line of /proc/meminfo, in bytes; as much as can be where the kernel does not say.
uint64_t ReadMemoryInfo(const std::string& name) {
  std::ifstream info("/proc/meminfo");
  std::string word;
  uint64_t kilobytes = 0;
  while (info >> word) {
    if (word == name && info >> kilobytes) return kilobytes << 10;
    info.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return std::numeric_limits<uint64_t>::max();
}

}  // namespace

MemoryPressure::MemoryPressure()
    : total_(ReadMemoryInfo("MemTotal:")),
      available_(ReadMemoryInfo("MemAvailable:")),
      next_look_(0) {}

bool MemoryPressure::IsShort(uint64_t bytes) {
  uint64_t look = next_look_.load(std::memory_order_relaxed);
  if (bytes >= look &&
      next_look_.compare_exchange_strong(look, bytes + kLookEvery, std::memory_order_relaxed)) {
    short_.store(ReadMemoryInfo("MemAvailable:") < total_ / kLeastShare, std::memory_order_relaxed);
  }
  return short_.load(std::memory_order_relaxed);
}

}  // namespace firn
