#ifndef FIRN_MOUNTD_PREFETCH_STATE_H_
#define FIRN_MOUNTD_PREFETCH_STATE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "format/file.h"

namespace firn {

enum class PrefetchStage : uint32_t {
  kOff,  // no profile, or nobody wants it
  kRunning,
  kDone,
  kOutOfMemory,  // stopped: the machine is short of memory
  kLimit,        // stopped: as many bytes as it may push
  kFailed        // could not start, or was killed
};

// What the pusher and the worker tell each other, in memory that both have mapped. Counts only
// grow; whatever stands here is a hint that decides about speed, never about bytes.
struct PrefetchState {
  static constexpr size_t kMostThreads = 16;

  std::atomic<PrefetchStage> stage{PrefetchStage::kOff};
  std::atomic<uint64_t> steps{0};    // that the profile has
  std::atomic<uint64_t> done{0};     // of them
  std::atomic<uint64_t> missing{0};  // paths that the image has not
  std::atomic<uint64_t> failed{0};   // steps that failed
  std::atomic<uint64_t> bytes{0};    // of files, that the kernel was made to read
  // The pusher's threads, by which the worker tells its requests from those of others; 0: none.
  std::array<std::atomic<int32_t>, kMostThreads> threads{};
  // Requests of others that the worker has in hand.
  std::atomic<uint32_t> waiting{0};
};

static_assert(std::atomic<uint64_t>::is_always_lock_free);

// Owns a mapping of the state. The state's address is the same as long as the object lives.
class SharedPrefetchState {
 public:
  // A new one. Throws kInternal.
  SharedPrefetchState();
  // That which another process made and passed. Throws kInternal where it is another file.
  explicit SharedPrefetchState(const FileDescriptor& fd);

  int fd() const { return fd_.get(); }  // -1 for one that was passed
  PrefetchState& operator*() const { return *state_; }
  PrefetchState* operator->() const { return state_.get(); }

 private:
  struct Unmap {
    void operator()(PrefetchState* state) const;
  };

  FileDescriptor fd_;
  std::unique_ptr<PrefetchState, Unmap> state_;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_PREFETCH_STATE_H_
