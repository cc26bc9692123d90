#ifndef FIRN_MOUNTD_SUPERVISED_WORKER_H_
#define FIRN_MOUNTD_SUPERVISED_WORKER_H_

#include <poll.h>
#include <sys/types.h>

#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "mountd/fuse_mount.h"
#include "mountd/prefetch_state.h"
#include "mountd/session_memory.h"
#include "mountd/tree.h"
#include "mountd/worker_channel.h"

namespace firn {

// What a worker is to serve, and how.
struct WorkerSettings {
  FileDescriptor image;  // open for reading
  std::string path;      // the image's, for messages
  bool foreign = false;  // take SquashFS files without an appendix too
  bool drop_stored = false;
  unsigned threads = 2;
  size_t cache_bytes = 0;
  unsigned max_background = kDefaultMaxBackground;  // the same for each worker: FUSE_INIT says it
  FileDescriptor record;  // where to write the profile at the end; invalid: nothing is recorded
};

// What a worker tells of the image that it opened.
struct ImageFacts {
  bool foreign = false;
  bool has_profile = false;
  std::string id;  // of a foreign image empty, as are name and prefix
  std::string name;
  std::string prefix;
};

// The worker of a session, as its keeper sees it: a process that is replaced when it dies or its
// heartbeat stops, by one that goes on where it was. The users of the session wait meanwhile. To be
// used by one thread, with a loop around poll(2).
class SupervisedWorker {
 public:
  using Clock = std::chrono::steady_clock;

  // `prefetch` outlives it.
  SupervisedWorker(WorkerSettings settings, SharedPrefetchState& prefetch);
  // Ends the worker after the requests at hand, or kills it.
  ~SupervisedWorker();
  SupervisedWorker(const SupervisedWorker&) = delete;
  SupervisedWorker& operator=(const SupervisedWorker&) = delete;

  // Starts the first worker and has it open the image. Throws what it reports, or kNoReply.
  void Open();
  // Has it serve; returns when the kernel's first request is answered. Throws as Open() does. Once
  // more for another mount, where the first is gone.
  void Serve(FileDescriptor fuse, RootLayout layout);

  // Puts another worker in its place, from the program as it is on disk now, which has opened the
  // image before the old one stops. Throws, and leaves the old one at work, where that fails.
  void Upgrade();

  // For poll(2), as ControlServer has them.
  void AppendPollSet(std::vector<pollfd>& set) const;
  int PollTimeout(Clock::time_point now) const;
  void Handle(Clock::time_point now);

  // Has the session ended: unmounted, and its last user gone?
  bool ended() const { return ended_; }

  const ImageFacts& facts() const { return facts_; }
  const WorkerSettings& settings() const { return settings_; }
  const SessionState& state() const { return memory_->state(); }
  pid_t pid() const { return current_ ? current_->pid : -1; }
  uint64_t restarts() const { return restarts_; }

 private:
  struct Process {
    pid_t pid;
    FileDescriptor pidfd;
    WorkerChannel channel;
    unsigned replies_due = 0;  // that nobody waits for
  };

  Process Spawn(const std::string& program) const;
  // Tells the worker the log's level, which may have changed.
  void PassLogLevel() const;
  void End();
  void SendStart(Process& process);
  void SendServe(Process& process, bool careful);
  // The next answer. Throws what it carries, or kNoReply.
  nlohmann::json Await(Process& process);
  // False for what was no answer but a line for the log.
  static bool IsAnswer(const nlohmann::json& body);

  void Restart(Clock::time_point now);
  void TakeMessages(Clock::time_point now);
  void CheckHeartbeat(Clock::time_point now);
  void HandleDeath(int exit_code, Clock::time_point now);
  void Abandon(Clock::time_point now);
  void ReapAbandoned();

  WorkerSettings settings_;
  SharedPrefetchState& prefetch_;
  std::optional<SessionMemory> memory_;
  FileDescriptor fuse_;
  RootLayout layout_ = RootLayout::kImageIsRoot;
  ImageFacts facts_;
  std::optional<Process> current_;
  std::vector<pid_t> abandoned_;  // killed, and not dead yet
  bool ended_ = false;
  uint64_t restarts_ = 0;
  bool careful_ = false;
  std::deque<Clock::time_point> crashes_;        // of late
  std::optional<Clock::time_point> restart_at_;  // where there is no worker
  std::optional<Clock::time_point> killed_at_;   // where the heartbeat had stopped
  uint64_t last_beat_ = 0;
  unsigned silent_checks_ = 0;
  Clock::time_point next_check_{};
};

}  // namespace firn

#endif  // FIRN_MOUNTD_SUPERVISED_WORKER_H_
