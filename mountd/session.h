#ifndef FIRN_MOUNTD_SESSION_H_
#define FIRN_MOUNTD_SESSION_H_

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "format/file.h"
#include "mountd/access_recorder.h"
#include "mountd/dispatcher.h"
#include "mountd/init_exchange.h"
#include "mountd/prefetch_state.h"
#include "mountd/request_gate.h"
#include "mountd/session_memory.h"
#include "mountd/tree.h"

namespace firn {

// How many threads serve where nobody says: what the process may run on, from 2 to 16.
unsigned DefaultThreadCount();

struct ServeOptions {
  // At most kMostServingThreads. There are more, up to that, while all wait for image files.
  unsigned threads = 2;
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
//
// A thread that reads an image file may wait for its file system, maybe for ever. The gate sees to
// it that one such file system does not take all threads; where some do, threads are added.
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

  // To be told of the images; those that are there before Start(), before it.
  RequestGate& gate() { return gate_; }
  const OpcodeCounters& requests() const { return memory_.state().requests; }
  const ErrorCounters& errors() const { return memory_.state().errors; }

 private:
  struct DestroySession {
    void operator()(fuse_session* session) const;
  };

  struct ServingThread {
    std::thread thread;
    bool has_ended = false;
  };

  void BringUp();
  void CollectLeftOver();
  void AnswerCarefully();
  // Returns when it is answered, or is long under way without ending the worker.
  void TryCarefully(const RequestGate::Parked& parked);
  void Serve(size_t thread);
  void LeaveRunning(size_t thread);
  bool IsSuperfluous(size_t thread) const;
  // False at the end of the connection.
  bool ServeOne(size_t thread);
  void ServeParked(const RequestGate::Parked& parked);
  // Reads a request into the thread's room; 0 where there was none, negative at the end.
  ssize_t ReadRequest(size_t thread);
  // A request that was read: for the first time, or by an earlier worker.
  void Process(ByteSpan request);
  void ProcessCounted(ByteSpan request);
  void RefusePoisoned(ByteSpan request);
  // The following with mutex_ held.
  void AddThreads(unsigned count);
  void JoinEnded();
  void WakeWaiting();
  void Watch();
  bool IsPrefetching() const;
  bool IsOfPusher(ByteSpan request) const;

  const SessionMemory& memory_;
  InitExchange init_exchange_;
  Dispatcher dispatcher_;
  const ServeOptions options_;
  const int fuse_;
  RequestGate gate_;
  FileDescriptor ended_;
  std::unique_ptr<fuse_session, DestroySession> session_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> is_disconnected_{false};
  std::atomic<unsigned> waiting_count_{0};  // threads that wait for a request
  std::array<std::atomic<bool>, kMostServingThreads> is_waiting_{};
  std::atomic<uint64_t> taken_{0};  // requests so far
  std::mutex mutex_;
  std::condition_variable changed_;  // a thread has ended, or is to end
  std::map<size_t, ServingThread> threads_;
  unsigned running_ = 0;
  std::vector<std::thread> careful_threads_;  // with left-over requests that take long
  std::thread watch_;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_SESSION_H_
