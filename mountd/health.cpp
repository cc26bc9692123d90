#include "mountd/health.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "format/digest.h"
#include "format/image.h"
#include "mountd/child_answer.h"

namespace firn {
namespace {

using std::chrono::microseconds;
using std::chrono::steady_clock;

constexpr uint64_t kLongestProbe = uint64_t{1} << 20;
constexpr size_t kLongestReason = 3000;
constexpr size_t kMostVisited = 10'000;  // entries looked at for a file to read

struct Probe {
  std::string path;  // in the image
  Inode file;
};

// The first regular file of some length that is not long, breadth first.
std::optional<Probe> FindProbe(const Image& image) {
  std::deque<std::pair<std::string, InodeNumber>> directories = {{"", image.root()}};
  std::optional<Probe> probe;
  size_t visited = 0;
  while (!directories.empty() && !probe && visited < kMostVisited) {
    const auto [path, number] = directories.front();
    directories.pop_front();
    const Inode directory = image.GetInode(number);
    image.ListDirectory(directory, 0, [&](const DirectoryEntry& entry) {
      const std::string entry_path = path + (path.empty() ? "" : "/") + std::string(entry.name);
      const Inode inode = image.GetInode(directory, entry);
      if (inode.IsDirectory()) directories.emplace_back(entry_path, entry.inode);
      if (inode.IsRegular() && inode.size > 0 && inode.size <= kLongestProbe) {
        probe = Probe{entry_path, inode};
      }
      return !probe && ++visited < kMostVisited;
    });
  }
  return probe;
}

Digest ContentOf(const Image& image, const Probe& probe) {
  Sha256 digest;
  for (const FilePiece& piece : image.Read(probe.file, 0, probe.file.size)) {
    digest.Update(piece.bytes);
  }
  return digest.Finish();
}

struct UnmapProbe {
  void operator()(void* memory) const { munmap(memory, kLongestProbe + 4096); }
};

// O_DIRECT takes memory that is aligned.
Digest ReadPastCache(int directory, const Probe& probe) {
  FileDescriptor file(openat(directory, probe.path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
  if (!file.valid()) {
    throw SystemError(ErrorKind::kSystem, errno, "cannot open " + probe.path + " in the mount");
  }
  const std::unique_ptr<void, UnmapProbe> memory(mmap(
      nullptr, kLongestProbe + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  Sha256 digest;
  for (;;) {
    const ssize_t got = read(file.get(), memory.get(), kLongestProbe + 4096);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      throw SystemError(ErrorKind::kSystem, errno, "cannot read " + probe.path + " in the mount");
    }
    if (got == 0) return digest.Finish();
    digest.Update({static_cast<const std::byte*>(memory.get()), static_cast<size_t>(got)});
  }
}

// Without a file to read: the daemon must say that a name is missing which nobody asked for before.
void LookUpMissing(int directory) {
  const std::string name = "firn-health-" + std::to_string(getpid()) + "-" +
                           std::to_string(steady_clock::now().time_since_epoch().count());
  struct stat status {};
  if (fstatat(directory, name.c_str(), &status, 0) != 0 && errno == ENOENT) return;
  throw SystemError(ErrorKind::kSystem, errno, "a name that is missing is not said to be");
}

// In the process of its own: returns what was done, throws what is wrong.
std::string CheckNow(const HealthTarget& target, microseconds& took) {
  BlockCache cache(size_t{4} << 20);
  const std::unique_ptr<const Image> image =
      Image::Open(OpenFile(target.image, O_RDONLY, ErrorKind::kInput), target.image, cache,
                  {.allow_foreign = target.foreign});
  const std::optional<Probe> probe = FindProbe(*image);
  if (target.user_namespace.valid() && setns(target.user_namespace.get(), CLONE_NEWUSER) != 0) {
    throw SystemError(ErrorKind::kSystem, errno, "cannot enter the user namespace of the mount");
  }
  FileDescriptor opened;
  if (!target.view.valid()) {
    opened = OpenFile(target.directory, O_PATH | O_DIRECTORY, ErrorKind::kMountPoint);
  }
  const int directory = target.view.valid() ? target.view.get() : opened.get();
  const auto start = steady_clock::now();
  std::optional<Digest> got;
  if (probe) {
    got = ReadPastCache(directory, *probe);
  } else {
    LookUpMissing(directory);
  }
  took = std::chrono::duration_cast<microseconds>(steady_clock::now() - start);
  if (!probe) return "a missing name is missing";
  if (*got != ContentOf(*image, *probe)) {
    throw Error(ErrorKind::kDamaged, probe->path + " reads otherwise than the image has it");
  }
  return "read " + probe->path;
}

struct Report {
  int64_t took = 0;
  bool ok = false;
  bool skipped = false;
};

// The bytes of a Report and a message.
std::string ReportOn(HealthTarget& target) {
  microseconds took{0};
  Report report;
  std::string message;
  try {
    const auto why = target.prepare ? target.prepare(target) : std::nullopt;
    message = why ? *why : CheckNow(target, took);
    report.skipped = why.has_value();
    report.ok = !report.skipped;
  } catch (const std::exception& error) {
    message = error.what();
  }
  report.took = took.count();
  return std::string(reinterpret_cast<const char*>(&report), sizeof report) +
         message.substr(0, kLongestReason);
}

}  // namespace

HealthResult CheckHealth(HealthTarget target, std::chrono::milliseconds timeout) {
  HealthResult result;
  const std::optional<std::string> told = AskInChild(timeout, [&] { return ReportOn(target); });
  if (!told) {
    result.message = "no answer within " + std::to_string(timeout.count()) + " ms";
    return result;
  }
  if (told->size() < sizeof(Report)) {
    result.message = "the check died";
    return result;
  }
  Report report;
  std::memcpy(&report, told->data(), sizeof report);
  result.ok = report.ok;
  result.skipped = report.skipped;
  result.took = microseconds(report.took);
  result.message = told->substr(sizeof report);
  return result;
}

}  // namespace firn
