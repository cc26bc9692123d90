#include "mountd/read_ahead.h"

#include <pthread.h>
#include <sys/resource.h>

#include <algorithm>

#include "format/error.h"

namespace firn {
namespace {

// A program that starts reads the heads of many files and stops there; whoever has read so much
// without a gap goes on.
constexpr uint64_t kLeastRun = uint64_t{2} << 20;
// The kernel has several requests under way, which need not arrive in order.
constexpr uint64_t kMostGap = uint64_t{2} << 20;
constexpr uint64_t kBytesAhead = uint64_t{4} << 20;
constexpr size_t kMostTasks = 64;
constexpr int kLowPriority = 5;

}  // namespace

ReadAhead::ReadAhead(const Image& image, unsigned threads)
    : image_(image), thread_count_(threads) {}

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

ReadAhead::Stream& ReadAhead::StreamOf(InodeNumber file) {
  const auto found = std::find_if(streams_.begin(), streams_.end(),
                                  [&](const Stream& stream) { return stream.file == file; });
  if (found != streams_.end()) return *found;
  Stream& oldest =
      *std::min_element(streams_.begin(), streams_.end(),
                        [](const Stream& a, const Stream& b) { return a.used < b.used; });
  oldest = {.file = file};
  return oldest;
}

void ReadAhead::Observe(const Inode& file, uint64_t offset, uint64_t length) {
  const uint64_t block_size = image_.block_size();
  if (file.size <= block_size) return;
  const std::lock_guard lock(mutex_);
  Stream& stream = StreamOf(file.number);
  stream.used = ++requests_;
  const uint64_t end = offset + length;
  const bool goes_on = offset <= stream.next + kMostGap && end + kMostGap >= stream.next;
  if (!goes_on) stream = {.file = file.number, .used = stream.used};
  stream.next = std::max(stream.next, end);
  stream.run += length;
  if (stream.run < kLeastRun) return;

  const uint64_t block_count = (file.size + block_size - 1) / block_size;
  const uint64_t wanted =
      std::min(block_count, (stream.next + kBytesAhead + block_size - 1) / block_size);
  stream.ahead_until = std::max(stream.ahead_until, (stream.next + block_size - 1) / block_size);
  for (; stream.ahead_until < wanted && tasks_.size() < kMostTasks; ++stream.ahead_until) {
    // Most sessions have no such reader, and need not start threads for one.
    while (threads_.size() < thread_count_) threads_.emplace_back([this] { Work(); });
    tasks_.push_back({file, stream.ahead_until});
    changed_.notify_one();
  }
}

void ReadAhead::Work() {
  pthread_setname_np(pthread_self(), "firnd-ahead");
  // Of this thread alone: what somebody waits for goes first.
  setpriority(PRIO_PROCESS, 0, kLowPriority);
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return ending_ || !tasks_.empty(); });
    if (ending_) return;
    const Task task = tasks_.front();
    tasks_.pop_front();
    lock.unlock();
    try {
      image_.Read(task.file, task.block * image_.block_size(), 1);
    } catch (const Error&) {
      // Whoever reads the block gets the error, and the log its line.
    }
    lock.lock();
  }
}

}  // namespace firn
