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
#include "mountd/init_exchange.h"
#include "mountd/prefetch_state.h"
#include "mountd/session_memory.h"
#include "mountd/tree.h"

namespace firn {

// How many threads serve where nobody says: what the process may run on, from 2 to 16.
unsigned DefaultThreadCount();

struct ServeOptions {
  unsigned threads = 2;  // at most kMostServingThreads, and the same for each worker of a session
  // Answer what the worker before left one by one, so that one request alone is to blame where
  // this worker crashes too; what has crashed two is answered with EIO.
  bool careful = false;
  AccessRecorder* recorder = nullptr;  // notes every request; then READDIRPLUS is not offered
  PrefetchState* prefetch = nullptr;   // where requests of others than the pusher are counted
  // The kernel's read-ahead requests under way; the same for each worker of a session.
  unsigned max_background = kDefaultMaxBackground;
};

// Serves one FUSE superblock, from a descriptor of /dev/fuse that is mounted already. Every
// request is counted where it is read. What is read and not answered stays in the session's
// memory, where the next worker of the same superblock finds it.
class Session {
 public:
  // `tree`, `memory` and what `options` point to outlive the session. `fuse` stays the caller's.
  Session(const Tree& tree, int fuse, const SessionMemory& memory, const ServeOptions& options);
  // Stop()s.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Answers the kernel's first request in the calling thread, or replays it where an earlier worker
  // has answered it; then starts the threads, which have the caller's signal mask (but for SIGUSR1,
  // which wakes them) and its namespaces. Throws kSystem where the connection ends before that.
  // Call it once.
  void Start();

  // Becomes readable, for poll(2), when the last thread has ended: the file system was unmounted
  // and its last user left, or Stop() was called, or /dev/fuse failed.
  int ended_fd() const { return ended_.get(); }

  // Ends the threads after the requests at hand; the kernel keeps further ones for the next worker,
  // or, where /dev/fuse is closed everywhere, answers ENOTCONN. From one thread only.
  void Stop();

  // Has the kernel forget a name in the FUSE root, and what it knows below that nobody uses. May
  // wait for requests of that name, so not to be called by one of the session's threads.
  void InvalidateRootEntry(const std::string& name);

  unsigned thread_count() const { return options_.threads; }
  const OpcodeCounters& requests() const { return memory_.state().requests; }
  const ErrorCounters& errors() const { return memory_.state().errors; }

 private:
  struct DestroySession {
    void operator()(fuse_session* session) const;
  };

  void BringUp();
  void AnswerLeftOver();
  void AnswerCarefully(size_t thread);
  void Serve(size_t thread);
  void LeaveRunning();
  // False at the end of the connection.
  bool ServeOne(size_t thread);
  // Reads a request into the thread's room; 0 where there was none, negative at the end.
  ssize_t ReadRequest(size_t thread);
  void Process(ByteSpan request);
  void RefusePoisoned(ByteSpan request);
  bool IsPrefetching() const;
  bool IsOfPusher(ByteSpan request) const;

  const SessionMemory& memory_;
  InitExchange init_exchange_;
  Dispatcher dispatcher_;
  const ServeOptions options_;
  const int fuse_;
  FileDescriptor ended_;
  std::unique_ptr<fuse_session, DestroySession> session_;
  std::vector<std::thread> threads_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable thread_ended_;
  unsigned running_ = 0;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_SESSION_H_
