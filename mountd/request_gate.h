#ifndef FIRN_MOUNTD_REQUEST_GATE_H_
#define FIRN_MOUNTD_REQUEST_GATE_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "mountd/session_memory.h"
#include "mountd/slot_table.h"

namespace firn {

// Keeps image files on a file system that stops answering from taking all threads of a session:
// requests that would read such a file are parked in the session's memory, and their threads go
// on to others. So are those for images that are still being opened. Where no entry is left to park
// in, the thread that has the request waits. Thread-safe.
class RequestGate {
  struct FileSystem;

 public:
  using Clock = std::chrono::steady_clock;

  // So many requests for one file system are processed at once.
  static constexpr unsigned kMostOfOne = 32;
  // With none of its requests done for so long, a file system is taken not to answer. Then it gets
  // as many threads as the `few` below, for its other files may be well.
  static constexpr std::chrono::milliseconds kPatience{200};

  // `memory` outlives it.
  RequestGate(const SessionMemory& memory, RootLayout layout, unsigned few);
  RequestGate(const RequestGate&) = delete;
  RequestGate& operator=(const RequestGate&) = delete;

  // Requests for slots that it was not told of pass.
  void Add(SlotNumber slot, FileSystemId file_system, bool is_open);
  // Its image was opened, or cannot be.
  void SetOpen(SlotNumber slot);
  void Remove(SlotNumber slot);

  // The leave to process one request, until Leave().
  class Pass {
    friend class RequestGate;
    FileSystem* file_system_ = nullptr;  // null: it reads no image file
  };

  // Asks for a request that was just read. Absent: it was parked, and is no longer the caller's.
  // After Close() it is absent with `request` not parked, and so left where it is.
  struct Entry {
    std::optional<Pass> pass;
    bool is_parked = false;
  };
  Entry Enter(ByteSpan request);
  void Leave(Pass pass);

  // A parked request that may be processed now: Finish() must follow when it is answered.
  struct Parked {
    size_t entry;
    Pass pass;
  };
  std::optional<Parked> Take();
  void Finish(const Parked& parked);
  // Would Take() give one?
  bool HasReady();

  // Takes over what an earlier worker parked, once. Then Adopt() parks what stands elsewhere; false
  // where it is too long, which no request is that reads an image file.
  void TakeOver();
  bool Adopt(ByteSpan request);

  // Lets nobody wait any more and gives nothing out.
  void Close();

 private:
  struct FileSystem {
    unsigned inside = 0;         // requests that are being processed
    Clock::time_point progress;  // the last one done, or the first one begun
    std::deque<size_t> parked{};
  };
  struct Slot {
    FileSystem* file_system;
    bool is_open;
    std::deque<size_t> parked{};  // while it is not open
  };
  std::optional<SlotNumber> TargetOf(ByteSpan request) const;
  bool MayEnter(const FileSystem& file_system) const;
  static Pass EnterNow(FileSystem& file_system);
  bool ParkFor(Slot& slot, ByteSpan request);
  void Queue(size_t entry);
  void ForgetUnopened(ByteSpan request);
  void SubtractLookups(uint64_t node, uint64_t count);

  const SessionMemory& memory_;
  const RootLayout layout_;
  const unsigned few_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<FileSystemId, FileSystem> file_systems_;
  std::map<SlotNumber, Slot> slots_;
  std::deque<size_t> ungated_;  // parked requests that need no leave
  std::vector<size_t> free_;    // entries
  std::atomic<size_t> parked_{0};
  bool is_closed_ = false;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_REQUEST_GATE_H_
