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

  // `done` is called by the thread.
  void Add(std::shared_ptr<AttachedImage> image, std::function<void(bool is_right)> done);

 private:
  struct Task {
    std::shared_ptr<AttachedImage> image;
    std::function<void(bool)> done;
  };

  void Work();
  bool IsRight(const AttachedImage& attached);
  // Throws kInterrupted.
  void RequireNotEnding();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> tasks_;
  bool ending_ = false;
  std::thread thread_;  // started with the first task
};

}  // namespace firn

#endif  // FIRN_MOUNTD_PROVER_H_
