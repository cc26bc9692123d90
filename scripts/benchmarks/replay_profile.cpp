// Does to a directory what a recorded profile says, in many processes at once, and tells how long
// the last of them took: a start-up without the interpreter's own time in it.

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "format/error.h"
#include "format/file.h"
#include "format/profile.h"

namespace firn {
namespace {

constexpr size_t kReadSize = size_t{1} << 20;
constexpr unsigned kMaxProcesses = 4096;

// What one process did. Goes through a pipe as it is.
struct ReplayCounts {
  uint64_t done = 0;     // entries
  uint64_t bytes = 0;    // read
  uint64_t strange = 0;  // entries that found something else than when they were recorded
};

[[noreturn]] void ThrowErrno(const std::string& what, const std::string& path = {}) {
  const Error error(ErrorKind::kSystem, what + ": " + std::strerror(errno));
  throw path.empty() ? error : error.WithPath(path);
}

class Replayer {
 public:
  explicit Replayer(int root) : root_(root), buffer_(kReadSize) {}

  // Throws kSystem for what a reader of the tree would take for a failing disk. A path that is not
  // as it was recorded is counted only: the tree may be another build of the same.
  ReplayCounts Run(const Profile& profile) {
    for (const ProfileEntry& entry : profile.entries()) {
      ++counts_.done;
      switch (entry.action) {
        case ProfileAction::kLookup:
          Ask(entry.path, /*expected=*/true);
          break;
        case ProfileAction::kMiss:
          Ask(entry.path, /*expected=*/false);
          break;
        case ProfileAction::kList:
          List(entry.path);
          break;
        case ProfileAction::kRead:
          Read(entry);
          break;
      }
    }
    return counts_;
  }

 private:
  void Ask(const std::string& path, bool expected) {
    struct stat status;
    const bool found = fstatat(root_, path.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
    if (!found && !IsAbsence()) ThrowErrno("cannot look it up", path);
    if (found != expected) ++counts_.strange;
  }

  void List(const std::string& path) {
    FileDescriptor fd(openat(root_, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid()) return Absent(path);
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(fdopendir(fd.get()), closedir);
    if (!directory) ThrowErrno("cannot list it", path);
    fd.Release();  // it is the directory's now
    errno = 0;
    while (readdir(directory.get()) != nullptr) {
    }
    if (errno != 0) ThrowErrno("cannot list it", path);
  }

  void Read(const ProfileEntry& entry) {
    if (entry.path != open_path_) {
      file_ = FileDescriptor(openat(root_, entry.path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
      open_path_ = file_.valid() ? entry.path : std::string();
    }
    if (!file_.valid()) return Absent(entry.path);
    uint64_t offset = entry.offset;
    const uint64_t end = entry.offset + entry.length;
    while (offset < end) {
      const ssize_t count =
          pread(file_.get(), buffer_.data(), std::min<uint64_t>(buffer_.size(), end - offset),
                static_cast<off_t>(offset));
      if (count < 0) ThrowErrno("cannot read it", entry.path);
      if (count == 0) break;  // what was recorded may end with the page, not with the file
      offset += static_cast<uint64_t>(count);
      counts_.bytes += static_cast<uint64_t>(count);
    }
    if (offset == entry.offset && entry.length > 0) ++counts_.strange;  // the file is shorter now
  }

  static bool IsAbsence() {
    return errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG || errno == ELOOP;
  }

  void Absent(const std::string& path) {
    if (!IsAbsence()) ThrowErrno("cannot open it", path);
    ++counts_.strange;
  }

  const int root_;
  std::vector<char> buffer_;
  FileDescriptor file_;    // the last one read: a program reads a file it has open
  std::string open_path_;  // its path; empty where none is open
  ReplayCounts counts_;
};

struct Pipe {
  FileDescriptor reader;
  FileDescriptor writer;
};

Pipe MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) ThrowErrno("cannot make a pipe");
  return {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

// Waits until the parent has closed the writing end, replays, and reports. The exit code of the
// process.
int ReplayWhenReleased(const Profile& profile, int root, Pipe barrier, const Pipe& report) {
  barrier.writer.Close();
  try {
    Replayer replayer(root);
    char byte = 'r';
    if (write(report.writer.get(), &byte, 1) != 1) ThrowErrno("cannot report");
    if (read(barrier.reader.get(), &byte, 1) != 0) ThrowErrno("no release");
    const ReplayCounts counts = replayer.Run(profile);
    // Less than PIPE_BUF, so that reports of processes do not mix.
    if (write(report.writer.get(), &counts, sizeof counts) != sizeof counts) {
      ThrowErrno("cannot report");
    }
    return 0;
  } catch (const Error& error) {
    std::cerr << "firn_replay_profile: " << error.what() << std::endl;
    return error.exit_code();
  }
}

void ReadExactly(int fd, void* bytes, size_t length) {
  for (size_t done = 0; done < length;) {
    const ssize_t count = read(fd, static_cast<char*>(bytes) + done, length - done);
    if (count < 0) ThrowErrno("cannot read a process' report");
    if (count == 0) throw Error(ErrorKind::kSystem, "a process ended without a report");
    done += static_cast<size_t>(count);
  }
}

// Throws kSystem where one did not end well.
void WaitForAll(const std::vector<pid_t>& processes) {
  bool good = true;
  for (const pid_t process : processes) {
    int status = 0;
    if (waitpid(process, &status, 0) < 0) ThrowErrno("cannot wait for a process");
    good = good && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  if (!good) throw Error(ErrorKind::kSystem, "a process failed");
}

void Replay(const Profile& profile, const std::string& directory, unsigned count) {
  const FileDescriptor root = OpenFile(directory, O_RDONLY | O_DIRECTORY, ErrorKind::kMountPoint);
  Pipe barrier = MakePipe();
  Pipe report = MakePipe();
  std::vector<pid_t> processes;
  for (unsigned i = 0; i < count; ++i) {
    const pid_t process = fork();
    if (process < 0) ThrowErrno("cannot start a process");
    if (process == 0) {
      _exit(ReplayWhenReleased(profile, root.get(), std::move(barrier), report));
    }
    processes.push_back(process);
  }
  barrier.reader.Close();
  report.writer.Close();
  std::vector<char> ready(count);
  ReadExactly(report.reader.get(), ready.data(), ready.size());

  const auto start = std::chrono::steady_clock::now();
  barrier.writer.Close();
  WaitForAll(processes);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;

  ReplayCounts sum;
  for (unsigned i = 0; i < count; ++i) {
    ReplayCounts counts;
    ReadExactly(report.reader.get(), &counts, sizeof counts);
    sum.done += counts.done;
    sum.bytes += counts.bytes;
    sum.strange += counts.strange;
  }
  std::cout << "{\"seconds\": " << elapsed.count() << ", \"processes\": " << count
            << ", \"entries\": " << sum.done << ", \"bytes\": " << sum.bytes
            << ", \"not_as_recorded\": " << sum.strange << "}" << std::endl;
}

unsigned ParseCount(std::string_view text) {
  unsigned count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end != text.data() + text.size() || count == 0 ||
      count > kMaxProcesses) {
    throw Error(ErrorKind::kUsage, "expected a number of processes, 1 to " +
                                       std::to_string(kMaxProcesses) + ", found '" +
                                       std::string(text) + "'");
  }
  return count;
}

}  // namespace
}  // namespace firn

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "Usage: firn_replay_profile PROFILE DIRECTORY PROCESSES" << std::endl;
    return static_cast<int>(firn::ErrorKind::kUsage);
  }
  try {
    firn::Replay(firn::Profile::ReadFile(argv[1]), argv[2], firn::ParseCount(argv[3]));
    return 0;
  } catch (const firn::Error& error) {
    std::cerr << "firn_replay_profile: " << error.what() << std::endl;
    return error.exit_code();
  }
}
