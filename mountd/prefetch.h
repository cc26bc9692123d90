#ifndef FIRN_MOUNTD_PREFETCH_H_
#define FIRN_MOUNTD_PREFETCH_H_

#include <sys/types.h>

#include <vector>

#include "format/file.h"
#include "mountd/prefetch_state.h"

namespace firn {

// A mount as the pusher may use it.
struct PusherPlace {
  FileDescriptor root;            // the image's root, or the FUSE root above it (O_PATH will do)
  bool above_image = false;       // `root` is above
  FileDescriptor user_namespace;  // the mount's, where that is not firnd's; else invalid
};

// The pusher of a session: a process without privileges that does what the image's profile says,
// through the mount, so that the kernel has names and pages before a program asks for them. Being
// a process of its own it may wait for firnd, which waits for nobody. To be used by one thread.
class Prefetch {
 public:
  // Nothing is started; the stage is kOff.
  Prefetch() = default;
  // Stop()s.
  ~Prefetch() { Stop(); }
  Prefetch(const Prefetch&) = delete;
  Prefetch& operator=(const Prefetch&) = delete;

  // Starts the pusher with at most `threads` requests under way. `image` is the image file, open
  // for reading. Where no process can be had, the stage is kFailed and the log says why.
  void Start(int image, PusherPlace place, unsigned threads);

  // Forgets what the pusher before did; for another image. Not while there is one.
  void Reset();

  // Readable, for poll(2), when the pusher has ended; -1 where there is none.
  int ended_fd() const { return process_.get(); }
  // Has it, or could it not be started?
  bool HasEnded() const;
  // To be called then: leaves no zombie.
  void Reap();

  // Kills the pusher, whose hold on the mount ends with it. It may hang in the kernel, where it
  // waits for an answer that does not come: then it is left to die when it can.
  void Stop();

  // -1 where there is no pusher.
  pid_t pid() const { return pid_; }

  // For the worker, which counts there the requests of others. Lives as long as the object.
  SharedPrefetchState& shared_state() { return state_; }
  PrefetchState& state() { return *state_; }
  const PrefetchState& state() const { return *state_; }

 private:
  SharedPrefetchState state_;
  pid_t pid_ = -1;
  FileDescriptor process_;
  std::vector<pid_t> abandoned_;  // killed, and not dead yet
};

}  // namespace firn

#endif  // FIRN_MOUNTD_PREFETCH_H_
