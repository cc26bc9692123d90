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

#include "format/extent_check.h"
#include "mountd/fuse_mount.h"
#include "mountd/prefetch_state.h"
#include "mountd/process_identity.h"
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
  // Called when another worker is about to serve in the place of one before: process() is that one.
  std::function<void()> replacing{};
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
  ExtentCheck check = ExtentCheck::kChecksum;
  std::string expected_id{};  // refuse another one; empty: any
  uid_t owner = 0;            // of the file
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
  // Of a session that another keeper has left. `former` is its worker, which may serve still.
  SupervisedWorker(WorkerSettings settings, SharedPrefetchState& prefetch, FileDescriptor memory,
                   FileDescriptor fuse, RootLayout layout, ProcessIdentity former);
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

  // Of a session that was left: an image that the worker before had. Call TakeOver() then.
  void Restore(WorkerImage image);
  // Killed ones that this very process, before it exec'd, had not seen to end.
  void RestoreAbandoned(std::vector<pid_t> abandoned) { abandoned_ = std::move(abandoned); }
  // Puts a worker in the place of the one that was left, as Upgrade() does, but for images that
  // cannot be opened any more: they are logged, and the rest is served. Where no worker can be
  // started it is tried again, and the one that was left goes on meanwhile.
  void TakeOver();

  // Have it do something while it serves; Handle() calls back, once, `failed` where it is given.
  void Attach(WorkerImage image, std::function<void(const ImageFacts&)> attached,
              std::function<void(const Error&)> failed);
  // `released` comes when the kernel has forgotten the image, which may be never.
  void Detach(SlotNumber slot, std::function<void()> released);
  void Prove(SlotNumber slot, std::function<void(bool is_right)> proved);
  // The digests are known to be true, from a proof that was made before.
  void Believe(SlotNumber slot);

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

  // For the next keeper: who serves, what is shared with it, and killed ones that have not ended.
  ProcessIdentity process() const { return current_ ? current_->identity : former_; }
  const std::vector<pid_t>& abandoned() const { return abandoned_; }
  int memory_fd() const { return memory_->fd(); }
  int fuse_fd() const { return fuse_.get(); }

 private:
  struct Process {
    pid_t pid;
    FileDescriptor pidfd;
    WorkerChannel channel;
    ProcessIdentity identity{};
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
  // False for what was no answer but something that the worker says of itself, or nonsense, for
  // which it is killed.
  bool IsAnswer(Process& process, const nlohmann::json& body);
  // Takes what it says of itself; false for an answer. Throws nlohmann::json::exception.
  bool IsEvent(Process& process, const nlohmann::json& body);
  void TakeOpened(Process& process, const nlohmann::json& body);
  void TakeAnswer(const nlohmann::json& body, Clock::time_point now);

  void Restart(Clock::time_point now);
  void TakeMessages(Clock::time_point now);
  void CheckHeartbeat(Clock::time_point now);
  void HandleDeath(int exit_code, Clock::time_point now);
  // What is known of requests where a worker died of itself.
  void NoteCrash();
  void EndFormer();
  void BeginServing();
  void Abandon(Clock::time_point now);
  void ReapAbandoned();

  WorkerSettings settings_;
  SharedPrefetchState& prefetch_;
  std::optional<SessionMemory> memory_;
  FileDescriptor fuse_;
  RootLayout layout_ = RootLayout::kImageIsRoot;
  std::map<SlotNumber, Served> images_;
  std::optional<Process> current_;
  ProcessIdentity former_;        // where another keeper left one that was not replaced yet
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
