#ifndef FIRN_MOUNTD_PRIVATE_MOUNTS_H_
#define FIRN_MOUNTD_PRIVATE_MOUNTS_H_

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "format/file.h"

namespace firn {

// A mount namespace that one thread of this process lives in: what is mounted there is seen by
// nobody else, and is gone with this object (unless a detached clone of it was made).
class PrivateMounts {
 public:
  // Throws kSystem where the kernel forbids it.
  PrivateMounts();
  // In a namespace that there is already. Throws kSystem.
  explicit PrivateMounts(const FileDescriptor& mount_namespace);
  PrivateMounts(const PrivateMounts&) = delete;
  PrivateMounts& operator=(const PrivateMounts&) = delete;

  // Runs `task` in the namespace and waits for it; what it throws reaches the caller. Descriptors
  // are shared with the rest of the process. From one thread at a time.
  void Run(const std::function<void()>& task);

  // The namespace, which stays as long as somebody has the descriptor. Throws kSystem.
  FileDescriptor OpenNamespace();

 private:
  // Ends and joins the thread, also where the constructor throws.
  class Worker {
   public:
    explicit Worker(PrivateMounts* owner) : owner_(owner), thread_([owner] { owner->Work(); }) {}
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

   private:
    PrivateMounts* owner_;
    std::thread thread_;
  };

  void Work();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> task_;  // empty: none, or done
  std::exception_ptr error_;    // of the last task
  bool ending_ = false;
  Worker worker_;  // last: the thread uses the others
};

}  // namespace firn

#endif  // FIRN_MOUNTD_PRIVATE_MOUNTS_H_
