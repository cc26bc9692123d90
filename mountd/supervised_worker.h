#ifndef FIRN_MOUNTD_SUPERVISED_WORKER_H_
#define FIRN_MOUNTD_SUPERVISED_WORKER_H_

#include <poll.h>
#include <sys/types.h>

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "mountd/fuse_mount.h"
#include "mountd/prefetch_state.h"
#include "mountd/session_memory.h"
#include "mountd/tree.h"
#include "mountd/worker_channel.h"

namespace firn {

// How a worker is to serve.
struct WorkerSettings {
  unsigned threads = 2;
  size_t cache_bytes = 0;
  unsigned max_background = kDefaultMaxBackground;  // the same for each worker: FUSE_INIT says it
  FileDescriptor record;  // where to write the profile at the end; invalid: nothing is recorded
};

// An image that a worker is to serve.
struct WorkerImage {
  SlotNumber slot{1};
  FileDescriptor file;  // open for reading
  FileSystemId file_system{};
  std::string path;      // for messages
  bool foreign = false;  // take SquashFS files without an appendix too
  bool drop_stored = false;
  bool proved = false;  // its digests are known to be true
};

// What a worker tells of the image that it opened.
struct ImageFacts {
  bool foreign = false;
  bool on_fuse = false;  // the file lies on a FUSE file system
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

  // Starts the first worker. Throws what it reports, or kNoReply.
  void Start();
  // Has it open an image, and waits for that. Throws as Start() does; then it is not served.
  ImageFacts AttachNow(WorkerImage image);
  // Has it serve; returns when the kernel's first request is answered. Throws as Start() does. Once
  // more for another mount, where the first is gone.
  void Serve(FileDescriptor fuse, RootLayout layout);

  // Have it do something while it serves; Handle() calls back, once, `failed` where it is given.
  void Attach(WorkerImage image, std::function<void(const ImageFacts&)> attached,
              std::function<void(const Error&)> failed);
  // `released` comes when the kernel has forgotten the image, which may be never.
  void Detach(SlotNumber slot, std::function<void()> released);
  void Prove(SlotNumber slot, std::function<void(bool is_right)> proved);

  // The worker is to outlive this object: without a keeper it serves on until its session ends.
  void Leave() { is_left_ = true; }

  // Puts another worker in its place, from the program as it is on disk now, which has opened the
  // images before the old one stops (but for those whose file system does not answer). Throws, and
  // leaves the old one at work, where that fails.
  void Upgrade();

  // For poll(2), as ControlServer has them.
  void AppendPollSet(std::vector<pollfd>& set) const;
  int PollTimeout(Clock::time_point now) const;
  void Handle(Clock::time_point now);

  // Has the session ended: unmounted, and its last user gone?
  bool ended() const { return ended_; }

  const WorkerSettings& settings() const { return settings_; }
  const SessionState& state() const { return memory_->state(); }
  pid_t pid() const { return current_ ? current_->pid : -1; }
  uint64_t restarts() const { return restarts_; }

 private:
  struct Process {
    pid_t pid;
    FileDescriptor pidfd;
    WorkerChannel channel;
    unsigned due = 0;                // answers to come
    std::set<SlotNumber> opening{};  // images that it was told of and has not opened yet
    std::optional<Error> refused{};  // what it last said of one that it cannot open again
  };
  struct Served {
    WorkerImage image;
    bool detached = false;
    std::function<void(const ImageFacts&)> attached{};  // until it was called, as the following
    std::function<void(const Error&)> failed{};
    std::function<void()> released{};
    std::function<void(bool)> proved{};
  };

  Process Spawn(const std::string& program) const;
  // Tells the worker the log's level, which may have changed.
  void PassLogLevel() const;
  void End();
  void SendStart(Process& process);
  void SendImages(Process& process) const;
  // Until the images are open; not longer than that takes where file systems answer.
  void AwaitImages(Process& process);
  void SendServe(Process& process, bool careful) const;
  static void SendAttach(Process& process, const WorkerImage& image);
  static void SendSlot(Process& process, const char* operation, SlotNumber slot);
  // The next answer. Throws what it carries, or kNoReply.
  nlohmann::json Await(Process& process);
  // False for what was no answer but something that the worker says of itself.
  bool IsAnswer(Process& process, const nlohmann::json& body);
  void TakeOpened(Process& process, const nlohmann::json& body);
  void TakeAnswer(const nlohmann::json& body, Clock::time_point now);

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
  std::map<SlotNumber, Served> images_;
  std::optional<Process> current_;
  std::vector<pid_t> abandoned_;  // killed, and not dead yet
  bool ended_ = false;
  bool is_left_ = false;
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
