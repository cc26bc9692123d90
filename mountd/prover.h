#ifndef FIRN_MOUNTD_PROVER_H_
#define FIRN_MOUNTD_PROVER_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "mountd/attached_image.h"

namespace firn {

// Compares the contents of images with their digests, one image after the other, in a thread of its
// own, and says so to those that are right (AttachedImage::SetDigestsProved). Thread-safe.
class Prover {
 public:
  Prover() = default;
  // Leaves off where it is.
  ~Prover();
  Prover(const Prover&) = delete;
  Prover& operator=(const Prover&) = delete;

  // An image that asks for more than this is not proved: sizes of files are claims, and holes and
  // shared blocks cost its maker nothing.
  static constexpr uint64_t kMostFiles = uint64_t{1} << 23;
  static constexpr uint64_t kLeastBytes = uint64_t{64} << 30;  // of content are always taken,
  static constexpr uint64_t kMostBytesPerByte = 64;            // and so many for each stored

  // `done` is called by the thread.
  void Add(std::shared_ptr<AttachedImage> image, std::function<void(bool is_right)> done);
  // Of an image that nobody uses any more: what is under way is left off, and not said to be right.
  void Drop(const AttachedImage& image);

 private:
  struct Task {
    std::shared_ptr<AttachedImage> image;
    std::function<void(bool)> done;
  };

  void Work();
  bool IsRight(const AttachedImage& attached);
  bool IsWanted();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> tasks_;
  const AttachedImage* current_ = nullptr;  // in the thread's hands, and wanted
  bool ending_ = false;
  std::thread thread_;  // started with the first task
};

}  // namespace firn

#endif  // FIRN_MOUNTD_PROVER_H_
