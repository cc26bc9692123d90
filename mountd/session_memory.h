#ifndef FIRN_MOUNTD_SESSION_MEMORY_H_
#define FIRN_MOUNTD_SESSION_MEMORY_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "format/block_cache.h"
#include "format/file.h"
#include "mountd/error_counters.h"
#include "mountd/opcode_counters.h"

namespace firn {

// A thread of a worker reads requests into an entry of its own.
inline constexpr size_t kMostServingThreads = 256;
// The kernel wants room for the longest write that FUSE_INIT allowed, though none ever comes: 1 MiB
// and a header of 4 KiB, as libfuse has it. Of this only the pages that are used take memory.
inline constexpr size_t kRequestRoom = (size_t{1} << 20) + 4096;
// Requests that were read and wait for something else than a thread stand in entries of their own,
// each with room for the longest one that can have to wait: a look-up of the longest name.
inline constexpr size_t kMostParked = 4096;
inline constexpr size_t kParkedRoom = 2048;

// The kernel's first request of a session and its answer: what a later worker's libfuse is brought
// up with. Written once.
struct RecordedInit {
  std::atomic<uint32_t> request_length{0};  // 0: none yet
  std::atomic<uint32_t> reply_length{0};    // 0: not answered yet
  std::array<std::byte, 256> request{};
  std::array<std::byte, 256> reply{};
};

// How a parked request fared, which an earlier worker may have left.
struct RequestState {
  std::atomic<uint32_t> being_tried{0};  // by a worker that answers left-over requests one by one
  std::atomic<uint32_t> crashes{0};      // of workers that were at it alone
};

// Images that a session has at once; slot numbers go on beyond.
inline constexpr size_t kMostSlots = 4096;

// What outlives the worker of a session: shared by keeper and worker, in memory that both have
// mapped. All of it are atomic numbers; counts only grow.
struct SessionState {
  static constexpr uint32_t kLayout = 2;  // of this structure: workers of another cannot take over

  uint32_t layout = kLayout;
  std::atomic<uint64_t> heartbeat{0};  // grows while a worker is alive and scheduled
  std::atomic<uint32_t> log_level{0};  // a LogLevel: what the keeper logs
  OpcodeCounters requests;
  ErrorCounters errors;
  BlockCacheCounters cache;
  std::atomic<uint64_t> bytes_read{0};  // from image files
  RecordedInit init;
  std::array<RequestState, kMostParked> parked;
  // The kernel's references to the ids of each slot, by its number modulo kMostSlots.
  std::array<std::atomic<uint64_t>, kMostSlots> lookups{};
};

// Owns a mapping of a session's memory: the state, the request ring and the parked requests. Its
// addresses are the same as long as the object lives.
class SessionMemory {
 public:
  // A new one. Throws kInternal.
  SessionMemory();
  // That which another process made and passed. Throws kInternal where it is something else.
  explicit SessionMemory(FileDescriptor fd);

  int fd() const { return fd_.get(); }
  SessionState& state() const { return *state_; }

  // Where the thread of that number, below kMostServingThreads, reads requests into.
  MutableByteSpan RoomOf(size_t thread) const;

  // The request in that room that was read and not answered; empty where there is none.
  ByteSpan PendingRequest(size_t thread) const;
  // To be called before the room is read into, and when its request is answered. A request counts
  // as pending from the moment that the kernel has written its number.
  void MarkAnswered(size_t thread) const;

  // Copies a request, of at most kParkedRoom bytes, into the parked entry of that number, which
  // holds none: from then on it is pending there too.
  void Park(size_t entry, ByteSpan request) const;
  // As PendingRequest() and MarkAnswered(), of a parked entry.
  ByteSpan ParkedRequest(size_t entry) const;
  void MarkParkedAnswered(size_t entry) const;

 private:
  struct Unmap {
    void operator()(SessionState* state) const;
  };

  std::byte* ring() const;
  std::byte* ParkedRoomOf(size_t entry) const;

  FileDescriptor fd_;
  std::unique_ptr<SessionState, Unmap> state_;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_SESSION_MEMORY_H_
