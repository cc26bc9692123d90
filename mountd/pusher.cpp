#include "mountd/pusher.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "format/appendix.h"
#include "format/error.h"
#include "format/file.h"
#include "format/profile.h"
#include "mountd/fuse_mount.h"
#include "mountd/memory_pressure.h"
#include "mountd/prefetch_state.h"
#include "mountd/privileges.h"
#include "mountd/view.h"

namespace firn {
namespace {

constexpr uint64_t kLargestRequest = uint64_t{1} << 20;
constexpr uint64_t kDefaultReadAhead = 128 << 10;
// How long, at most, one step waits while the worker has requests of others in hand: they go
// first, but with hundreds of processes there is always one.
constexpr int kMostPauses = 50;
constexpr std::chrono::microseconds kPause{100};

// Opens below the root only, and through no symlink: the profile comes from the image's maker, and
// the paths that a kernel looks up in a file system have none.
FileDescriptor OpenBelow(int root, const std::string& path, int flags) {
  return OpenWithin(root, path, flags, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

// What one request to the worker may carry, as the mount's read-ahead has it; root can raise it.
uint64_t ReadAheadOf(int directory) {
  struct stat status {};
  if (fstat(directory, &status) != 0) return kDefaultReadAhead;
  std::ifstream setting("/sys/class/bdi/" + std::to_string(major(status.st_dev)) + ":" +
                        std::to_string(minor(status.st_dev)) + "/read_ahead_kb");
  uint64_t kilobytes = 0;
  if (!(setting >> kilobytes) || kilobytes == 0) return kDefaultReadAhead;
  return std::min(kilobytes << 10, kLargestRequest);
}

void RequireSuccess(bool succeeded, const char* what) {
  if (!succeeded) throw SystemError(ErrorKind::kSystem, errno, what);
}

// The mount of a job is for the processes of its user namespace, which its maker may enter.
void EnterUserNamespace(int user_namespace) {
  if (user_namespace < 0) return;
  RequireSuccess(setns(user_namespace, CLONE_NEWUSER) == 0 || errno == EINVAL,
                 "cannot enter the job's user namespace");
}

class Pusher {
 public:
  Pusher(const FileDescriptor& root, PrefetchState& state, const Profile& profile)
      : root_(root), state_(state), profile_(profile), read_ahead_(ReadAheadOf(root.get())) {
    state_.steps.store(profile.entries().size());
  }

  // Names in one thread, as they are quick and needed early, contents in the others.
  void Run(unsigned threads) {
    std::vector<std::thread> workers;
    for (unsigned i = 0; i < threads; ++i) {
      workers.emplace_back([this, i] {
        TellThread(i + 1);
        ReadContents();
      });
    }
    TellThread(0);
    WarmNames();
    for (std::thread& worker : workers) worker.join();
    PrefetchStage running = PrefetchStage::kRunning;
    state_.stage.compare_exchange_strong(running, PrefetchStage::kDone);
  }

 private:
  void TellThread(unsigned number) {
    if (number < PrefetchState::kMostThreads) state_.threads[number].store(gettid());
  }

  bool Stopped() const {
    return state_.stage.load(std::memory_order_relaxed) != PrefetchStage::kRunning;
  }

  void StopFor(PrefetchStage reason) {
    PrefetchStage running = PrefetchStage::kRunning;
    state_.stage.compare_exchange_strong(running, reason);
  }

  void Yield() const {
    for (int i = 0; i < kMostPauses && state_.waiting.load(std::memory_order_relaxed) > 0; ++i) {
      std::this_thread::sleep_for(kPause);
    }
  }

  void CountFailure(int error_number) {
    (error_number == ENOENT || error_number == ENOTDIR ? state_.missing : state_.failed)
        .fetch_add(1, std::memory_order_relaxed);
  }

  void WarmNames() {
    for (const ProfileEntry& entry : profile_.entries()) {
      if (Stopped()) return;
      if (entry.action == ProfileAction::kRead) continue;
      if (entry.action == ProfileAction::kList) {
        List(entry.path);
      } else {
        LookUp(entry);
      }
      state_.done.fetch_add(1, std::memory_order_relaxed);
    }
  }

  void LookUp(const ProfileEntry& entry) {
    const FileDescriptor found = OpenBelow(root_.get(), entry.path, O_PATH | O_NOFOLLOW);
    if (!found.valid()) {
      if (entry.action == ProfileAction::kLookup) CountFailure(errno);
      return;
    }
    // Who looked a symlink up followed it. The kernel keeps the target; another file refuses.
    char letter;
    [[maybe_unused]] const ssize_t length = readlinkat(found.get(), "", &letter, 1);
  }

  void List(const std::string& path) {
    const FileDescriptor directory =
        OpenBelow(root_.get(), path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!directory.valid()) {
      CountFailure(errno);
      return;
    }
    std::array<std::byte, 32768> entries;
    long got;
    while ((got = syscall(SYS_getdents64, directory.get(), entries.data(), entries.size())) > 0 &&
           !Stopped()) {
    }
    if (got < 0) CountFailure(errno);
  }

  void ReadContents() {
    FileDescriptor file;
    const std::string* name = nullptr;
    for (size_t at = next_.fetch_add(1); at < profile_.entries().size() && !Stopped();
         at = next_.fetch_add(1)) {
      const ProfileEntry& entry = profile_.entries()[at];
      if (entry.action != ProfileAction::kRead) continue;
      if (name == nullptr || *name != entry.path) {
        name = &entry.path;
        file = OpenBelow(root_.get(), entry.path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (!file.valid()) CountFailure(errno);
      }
      if (file.valid()) ReadRange(file, entry);
      state_.done.fetch_add(1, std::memory_order_relaxed);
    }
  }

  void ReadRange(const FileDescriptor& file, const ProfileEntry& entry) {
    struct stat status {};
    if (fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return;
    uint64_t at = entry.offset;
    const uint64_t end =
        std::min(entry.offset + entry.length, static_cast<uint64_t>(status.st_size));
    while (at < end && !Stopped()) {
      // A request that stays within a block of the image makes the worker decode that one alone.
      const uint64_t next = std::min(end, (at / read_ahead_ + 1) * read_ahead_);
      Yield();
      if (!ReadPiece(file, at, next)) return;
      at = next;
    }
  }

  // False where the rest of the range is not worth trying.
  bool ReadPiece(const FileDescriptor& file, uint64_t start, uint64_t end) {
    const uint64_t pushed = state_.bytes.fetch_add(end - start) + (end - start);
    if (pushed > limit_) StopFor(PrefetchStage::kLimit);
    if (pressure_.IsShort(pushed)) StopFor(PrefetchStage::kOutOfMemory);
    if (Stopped()) return false;
    // The kernel asks for the whole piece in one request and does not wait; its last byte comes
    // with the rest.
    posix_fadvise(file.get(), static_cast<off_t>(start), static_cast<off_t>(end - start),
                  POSIX_FADV_WILLNEED);
    std::byte last;
    const ssize_t got = pread(file.get(), &last, 1, static_cast<off_t>(end - 1));
    if (got == 1) return true;
    state_.failed.fetch_add(1, std::memory_order_relaxed);
    return false;
  }

  const FileDescriptor& root_;
  PrefetchState& state_;
  const Profile& profile_;
  const uint64_t read_ahead_;
  MemoryPressure pressure_;
  const uint64_t limit_ = pressure_.available() / 4;
  std::atomic<size_t> next_{0};
};

}  // namespace

int RunPusher(const PusherOptions& options) {
  const pid_t firnd = getppid();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NAME, "firnd-push");
  FileDescriptor root(options.root_fd);
  const FileDescriptor image(options.image_fd);
  const FileDescriptor state_file(options.state_fd);
  const FileDescriptor user_namespace(options.user_namespace_fd);
  const SharedPrefetchState state(state_file);
  EnterUserNamespace(user_namespace.get());
  DropPrivileges();
  // The signal is lost where firnd died before it was asked for, and changing ids takes it back.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != firnd) return 0;
  const std::optional<Profile> profile =
      Appendix::ReadImage(image.get(), "the image").ReadProfile(image.get());
  if (options.above_image) {
    root = OpenBelow(root.get(), std::string(kOnlySlot), O_PATH | O_DIRECTORY);
  }
  RequireSuccess(root.valid(), "cannot open the image's root");
  Pusher(root, *state, profile.value_or(Profile())).Run(options.threads);
  return 0;
}

}  // namespace firn
