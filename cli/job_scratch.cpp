#include "cli/job_scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "format/error.h"
#include "format/file.h"
#include "mountd/background.h"
#include "mountd/subprocess.h"

namespace firn {
namespace {

// Deeper directories are moved up before they are emptied: each level takes a descriptor.
constexpr unsigned kMaxDepth = 32;
// What the job left running may still write.
constexpr unsigned kPasses = 100;
constexpr char kRemedy[] =
    "Set TMPDIR to a directory that you may write to, or use "
    "--no-environment.";

FileDescriptor OpenBelow(int parent, const char* name, int flags) {
  return OpenWithin(parent, name, flags | O_DIRECTORY | O_NOFOLLOW,
                    RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH);
}

// A directory to be emptied, with permissions to do so where it is ours.
FileDescriptor OpenToEmpty(int parent, const char* name) {
  const FileDescriptor found = OpenBelow(parent, name, O_PATH);
  if (!found.valid()) return {};
  // By its descriptor: a name could meanwhile be a symlink.
  const std::string path = "/proc/self/fd/" + std::to_string(found.get());
  chmod(path.c_str(), 0700);
  return FileDescriptor(openat(found.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

struct CloseStream {
  void operator()(DIR* stream) const { closedir(stream); }
};

class Remover {
 public:
  explicit Remover(int top) : top_(top) {}

  // False once there is nothing more that it can do.
  bool Pass() {
    changed_ = false;
    Empty(top_, 0);
    return changed_;
  }

 private:
  void Empty(int directory, unsigned depth) {
    for (const std::string& name : Names(directory)) Remove(directory, name, depth);
  }

  static std::vector<std::string> Names(int directory) {
    std::vector<std::string> names;
    const int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (copy < 0) return names;
    const std::unique_ptr<DIR, CloseStream> stream(fdopendir(copy));
    if (stream == nullptr) return names;
    while (const dirent* entry = readdir(stream.get())) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
    }
    return names;
  }

  void Remove(int directory, const std::string& name, unsigned depth) {
    if (unlinkat(directory, name.c_str(), 0) == 0) {
      changed_ = true;
      return;
    }
    if (errno != EISDIR && errno != EPERM) return;
    if (depth >= kMaxDepth) {
      OpenToEmpty(directory, name.c_str());  // one without permissions cannot be moved either
      const std::string above = ".deep-" + std::to_string(moved_++);
      if (renameat(directory, name.c_str(), top_, above.c_str()) == 0) changed_ = true;
      return;
    }
    {
      const FileDescriptor inner = OpenToEmpty(directory, name.c_str());
      if (inner.valid()) Empty(inner.get(), depth + 1);
    }
    if (unlinkat(directory, name.c_str(), AT_REMOVEDIR) == 0) changed_ = true;
  }

  int top_;
  unsigned moved_ = 0;
  bool changed_ = false;
};

std::string HostName() {
  std::array<char, 65> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  std::string text = name.data();
  for (char& c : text) {
    if (isalnum(static_cast<unsigned char>(c)) == 0 && c != '.' && c != '-') c = '_';
  }
  return text;
}

std::string MakeOwnDirectory() {
  const char* chosen = getenv("TMPDIR");
  std::error_code ignored;
  const std::filesystem::path parent =
      std::filesystem::absolute(chosen != nullptr && *chosen != '\0' ? chosen : "/tmp", ignored);
  std::string path =
      parent.string() + "/firn-" + HostName() + "-" + std::to_string(getpid()) + "-XXXXXX";
  if (mkdtemp(path.data()) == nullptr) {
    throw SystemError(ErrorKind::kOutput, errno, "cannot make the job's scratch directory in it",
                      kRemedy)
        .WithPath(parent.string());
  }
  return path;
}

// In the process of its own.
[[noreturn]] void RemoveAtTheEndOf(int process, const FileDescriptor& parent,
                                   const FileDescriptor& directory, const std::string& name) {
  prctl(PR_SET_NAME, "firn-scratch");
  // A group of processes is told to end together: what the job writes last is removed too.
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) signal(number, SIG_IGN);
  pollfd ended{.fd = process, .events = POLLIN, .revents = 0};
  while (poll(&ended, 1, -1) < 0 && errno == EINTR) {
  }
  RemoveContents(directory.get());
  unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR);
  _exit(0);
}

}  // namespace

std::vector<std::string> ScratchVariables(std::span<const ImageInJob> images,
                                          const Environment& caller) {
  std::vector<std::string> variables;
  for (const ImageInJob& image : images) {
    for (const std::string& name : image.manifest.scratch) {
      if (!IsVariableName(name)) {
        throw Error(ErrorKind::kDamaged,
                    "the manifest of image " + image.manifest.name +
                        " wants a scratch directory for a variable that has no possible name",
                    "Build the image again; --no-environment sets none of its variables.");
      }
      const auto set = caller.find(name);
      const bool chosen = set != caller.end() && !set->second.empty();
      if (!chosen && std::ranges::find(variables, name) == variables.end()) {
        variables.push_back(name);
      }
    }
  }
  return variables;
}

std::vector<VariableChange> MakeScratch(const std::vector<std::string>& variables) {
  if (variables.empty()) return {};
  const FileDescriptor self = OpenProcess(getpid());
  if (!self.valid()) {
    throw SystemError(ErrorKind::kSystem, errno, "cannot watch over the end of the job", kRemedy);
  }
  const std::filesystem::path path = MakeOwnDirectory();
  const FileDescriptor parent(open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const FileDescriptor directory =
      OpenFile(path.string(), O_RDONLY | O_DIRECTORY, ErrorKind::kOutput);
  // Before anything is in it: from here on it is removed, whatever comes.
  if (ForkIntoBackground()) {
    CloseOtherDescriptors({self.get(), parent.get(), directory.get()});
    RemoveAtTheEndOf(self.get(), parent, directory, path.filename().string());
  }
  std::vector<VariableChange> changes;
  for (const std::string& name : variables) {
    if (mkdirat(directory.get(), name.c_str(), 0700) != 0) {
      throw SystemError(ErrorKind::kOutput, errno, "cannot make the job's scratch directory",
                        kRemedy)
          .WithPath((path / name).string());
    }
    changes.push_back({name, (path / name).string()});
  }
  return changes;
}

void RemoveContents(int directory) {
  Remover remover(directory);
  for (unsigned pass = 0; pass < kPasses; ++pass) {
    if (!remover.Pass()) return;
  }
}

}  // namespace firn
