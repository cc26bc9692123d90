#ifndef FIRN_MOUNTD_MEMORY_PRESSURE_H_
#define FIRN_MOUNTD_MEMORY_PRESSURE_H_

#include <atomic>
#include <cstdint>

namespace firn {

// Is the machine short of memory? Thread-safe.
class MemoryPressure {
 public:
  MemoryPressure();

  // Bytes that programs could still have when this object was made.
  uint64_t available() const { return available_; }

  // True once less than a sixteenth of the memory is available. `bytes` is what the caller has
  // used so far; the kernel is asked again every 16 MiB.
  bool IsShort(uint64_t bytes);

 private:
  uint64_t total_ = 0;
  uint64_t available_ = 0;
  std::atomic<uint64_t> next_look_;
  std::atomic<bool> short_{false};
};

}  // namespace firn

#endif  // FIRN_MOUNTD_MEMORY_PRESSURE_H_
