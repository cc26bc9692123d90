#include "mountd/runtime_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>
#include <utility>

#include "mountd/fuse_mount.h"

namespace firn {
namespace {

constexpr char kRootsDirectory[] = "/run/firn";
constexpr std::string_view kTemporaryPrefix = "/tmp/firn-";

bool IsRoot() { return geteuid() == 0 && !InUserNamespace(); }

// The uid outside of the user namespace: inside, everybody may be called 0.
uid_t OuterUid() {
  std::ifstream map("/proc/self/uid_map");
  const uid_t own = geteuid();
  uid_t inside = 0;
  uid_t outside = 0;
  uid_t count = 0;
  while (map >> inside >> outside >> count) {
    if (own >= inside && own - inside < count) return outside + (own - inside);
  }
  return own;
}

std::string OwnPath() {
  if (IsRoot()) return kRootsDirectory;
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && runtime[0] == '/') return std::string(runtime) + "/firn";
  return std::string(kTemporaryPrefix) + std::to_string(OuterUid());
}

std::optional<uid_t> ParseUid(std::string_view digits) {
  uid_t uid = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), uid);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return uid;
}

// Directories of ordinary users, as root finds them: each with the uid that its name tells.
std::vector<std::pair<std::string, uid_t>> UsersPaths() {
  std::vector<std::pair<std::string, uid_t>> paths;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/run/user", ignored)) {
    const std::optional<uid_t> uid = ParseUid(entry.path().filename().string());
    if (uid) paths.emplace_back(entry.path().string() + "/firn", *uid);
  }
  for (const auto& entry : std::filesystem::directory_iterator("/tmp", ignored)) {
    const std::string path = entry.path().string();
    if (!path.starts_with(kTemporaryPrefix)) continue;
    const std::optional<uid_t> uid = ParseUid(path.substr(kTemporaryPrefix.size()));
    if (uid) paths.emplace_back(path, *uid);
  }
  return paths;
}

}  // namespace

std::optional<RuntimeDirectory> RuntimeDirectory::Open(const std::string& path, uid_t owner,
                                                       std::string& refusal) {
  FileDescriptor fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!fd.valid() || fstat(fd.get(), &status) != 0) {
    refusal = std::generic_category().message(errno);
    return std::nullopt;
  }
  if (status.st_uid != owner) {
    refusal = "expected uid " + std::to_string(owner) + " as owner, found " +
              std::to_string(status.st_uid);
    return std::nullopt;
  }
  // Others may pass through to the socket of a system's firnd, which is for everybody.
  if ((status.st_mode & 066) != 0) {
    refusal = "expected mode 0700 or 0711, found one that lets others in";
    return std::nullopt;
  }
  return RuntimeDirectory(path, std::move(fd), owner);
}

RuntimeDirectory RuntimeDirectory::MakeOwn() { return MakeAt(OwnPath()); }

RuntimeDirectory RuntimeDirectory::MakeAt(const std::string& path) {
  // A session that ends may remove the directory between any two steps; then from the beginning.
  for (;;) {
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
      throw SystemError(ErrorKind::kSystem, errno, "cannot make the directory for control sockets",
                        "Set XDG_RUNTIME_DIR to a directory of your own, or ask the site for one.")
          .WithPath(path);
    }
    std::string refusal;
    std::optional<RuntimeDirectory> directory = Open(path, geteuid(), refusal);
    if (directory && directory->Hold()) return std::move(*directory);
    struct stat status {};
    if (directory || (lstat(path.c_str(), &status) != 0 && errno == ENOENT)) continue;
    throw Error(ErrorKind::kSystem, "cannot use the directory for control sockets: " + refusal,
                "Remove it, or set XDG_RUNTIME_DIR to a directory of your own.")
        .WithPath(path);
  }
}

bool RuntimeDirectory::Hold() const {
  if (flock(fd_.get(), LOCK_SH) != 0) {
    throw SystemError(ErrorKind::kSystem, errno, "cannot lock the directory for control sockets",
                      "Set XDG_RUNTIME_DIR to a directory on a local file system.")
        .WithPath(path_);
  }
  struct stat held {};
  struct stat found {};
  return fstat(fd_.get(), &held) == 0 && lstat(path_.c_str(), &found) == 0 &&
         held.st_dev == found.st_dev && held.st_ino == found.st_ino;
}

void RuntimeDirectory::RemoveIfUnused() const {
  if (flock(fd_.get(), LOCK_EX | LOCK_NB) != 0) return;
  rmdir(path_.c_str());
  flock(fd_.get(), LOCK_UN);
}

std::vector<RuntimeDirectory> RuntimeDirectory::FindAll() {
  std::vector<std::pair<std::string, uid_t>> candidates = {{OwnPath(), geteuid()}};
  if (IsRoot()) {
    for (auto& candidate : UsersPaths()) candidates.push_back(std::move(candidate));
  }
  std::vector<RuntimeDirectory> found;
  for (const auto& [path, owner] : candidates) {
    std::string refusal;
    if (auto directory = Open(path, owner, refusal)) found.push_back(std::move(*directory));
  }
  return found;
}

std::string RuntimeDirectory::ShortPathOf(const std::string& name) const {
  return "/proc/self/fd/" + std::to_string(fd_.get()) + "/" + name;
}

sockaddr_un SocketAddress(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

}  // namespace firn
