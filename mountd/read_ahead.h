#ifndef FIRN_MOUNTD_READ_AHEAD_H_
#define FIRN_MOUNTD_READ_AHEAD_H_

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "format/image.h"

namespace firn {

// Decodes the blocks that come next in files that are read from front to back, on threads of its
// own, so that the next request finds them in the cache: the kernel asks for one request's worth
// ahead, which is one block and keeps one processor busy. Thread-safe.
class ReadAhead {
 public:
  // `image` outlives it. The threads start with the first block to decode.
  ReadAhead(const Image& image, unsigned threads);
  // Waits for the blocks at hand.
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // A request for [offset, offset + length) of the file has come. Returns at once.
  void Observe(const Inode& file, uint64_t offset, uint64_t length);

 private:
  // A file that somebody reads; the most recent ones are remembered.
  struct Stream {
    InodeNumber file{};
    uint64_t next = 0;         // offset behind the last request
    uint64_t run = 0;          // bytes read without a gap
    uint64_t ahead_until = 0;  // index of the first block not yet asked for
    uint64_t used = 0;         // when, in requests
  };
  struct Task {
    Inode file;
    uint64_t block;
  };

  Stream& StreamOf(InodeNumber file);
  void Work();

  const Image& image_;
  const unsigned thread_count_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::array<Stream, 32> streams_;
  uint64_t requests_ = 0;
  std::deque<Task> tasks_;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_READ_AHEAD_H_
