#ifndef FIRN_MOUNTD_SESSION_H_
#define FIRN_MOUNTD_SESSION_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "format/file.h"
#include "mountd/access_recorder.h"
#include "mountd/dispatcher.h"
#include "mountd/opcode_counters.h"
#include "mountd/prefetch_state.h"
#include "mountd/tree.h"

namespace firn {

// How many threads serve where nobody says: what the process may run on, from 2 to 16.
unsigned DefaultThreadCount();

struct ServeOptions {
  unsigned threads = 2;
  AccessRecorder* recorder = nullptr;  // notes every request; then READDIRPLUS is not offered
  PrefetchState* prefetch = nullptr;   // where requests of others than the pusher are counted
};

// Serves one FUSE superblock, from a descriptor of /dev/fuse that is mounted already. Every
// request is counted where it is read.
class Session {
 public:
  // `tree` and what `options` point to outlive the session.
  Session(const Tree& tree, FileDescriptor fuse, const ServeOptions& options);
  // Stop()s.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Answers the kernel's first request in the calling thread, then starts the threads, which have
  // the caller's signal mask (but for SIGUSR1, which wakes them) and its namespaces. Throws kSystem
  // where the connection ends before that. Call it once.
  void Start();

  // Becomes readable, for poll(2), when the last thread has ended: the file system was unmounted
  // and its last user left, or Stop() was called, or /dev/fuse failed.
  int ended_fd() const { return ended_.get(); }

  // Ends the threads after the requests at hand; users of a file system that is still mounted see
  // ENOTCONN from the destructor on. From one thread only.
  void Stop();

  unsigned thread_count() const { return options_.threads; }
  const OpcodeCounters& requests() const { return requests_; }
  const ErrorCounters& errors() const { return dispatcher_.errors(); }

 private:
  class Buffer;

  void Serve();
  void LeaveRunning();
  // False at the end of the connection.
  bool ServeOne(Buffer& buffer);
  bool IsPrefetching() const;
  bool IsOfPusher(ByteSpan request) const;

  struct DestroySession {
    void operator()(fuse_session* session) const;
  };

  Dispatcher dispatcher_;
  const ServeOptions options_;
  FileDescriptor ended_;
  OpcodeCounters requests_;
  std::unique_ptr<fuse_session, DestroySession> session_;
  std::vector<std::thread> threads_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable thread_ended_;
  unsigned running_ = 0;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_SESSION_H_
