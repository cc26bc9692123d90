#include "mountd/prefix_place.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <optional>

#include "format/error.h"
#include "mountd/underlay.h"

namespace firn {
namespace {

constexpr char kOtherPrefix[] = "Give another place with --prefix.";

// nullopt where something on the way is missing.
std::optional<std::string> ExistingPath(const std::string& path) {
  const std::unique_ptr<char, decltype(&free)> real(realpath(path.c_str(), nullptr), &free);
  if (real != nullptr) return std::string(real.get());
  if (errno == ENOENT) return std::nullopt;
  throw SystemError(ErrorKind::kMountPoint, errno, "cannot show the image here",
                    "Every directory above the image's prefix must be one that you may enter. Ask "
                    "the site, or give another place with --prefix.")
      .WithPath(path);
}

bool IsDirectory(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

std::string Join(const std::string& directory, const std::string& name) {
  return directory == "/" ? "/" + name : directory + "/" + name;
}

struct ExistingPart {
  std::string directory;             // absolute, without symlinks
  std::vector<std::string> missing;  // components below it
};

ExistingPart FindExistingPart(const std::string& prefix) {
  ExistingPart part;
  std::filesystem::path path(prefix);
  for (;;) {
    if (std::optional<std::string> real = ExistingPath(path.string())) {
      part.directory = *std::move(real);
      std::reverse(part.missing.begin(), part.missing.end());
      return part;
    }
    part.missing.push_back(path.filename().string());
    path = path.parent_path();
  }
}

// False where the caller may not make the first of them, or a dangling symlink has its name.
bool MakeOnHost(const ExistingPart& part) {
  std::string path = part.directory;
  for (const std::string& name : part.missing) {
    path = Join(path, name);
    if (mkdir(path.c_str(), 0755) == 0) continue;
    // Another rank of the job can have been faster.
    if (errno != EEXIST || !IsDirectory(path)) return false;
  }
  return true;
}

}  // namespace

void CheckPrefix(const std::string& prefix) {
  const auto refuse = [&](const char* why) {
    return Error(ErrorKind::kUsage, std::string("an image cannot be shown at this prefix: ") + why,
                 kOtherPrefix)
        .WithPath(prefix);
  };
  if (!prefix.starts_with('/')) throw refuse("it must be an absolute path");
  const std::filesystem::path path(prefix);
  for (const std::filesystem::path& component : path) {
    if (component == "." || component == "..") throw refuse("it must not contain '.' or '..'");
  }
  if (path.relative_path().empty()) throw refuse("it is the root directory");
  for (const char* reserved : {"/proc", "/sys", "/dev"}) {
    if (IsAtOrBelow(NormalPrefix(prefix), reserved)) {
      throw refuse("/proc, /sys and /dev belong to the kernel");
    }
  }
}

std::string NormalPrefix(const std::string& prefix) {
  const std::filesystem::path path = std::filesystem::path(prefix).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).string();
}

bool IsAtOrBelow(std::string_view path, std::string_view directory) {
  while (directory.ends_with('/')) directory.remove_suffix(1);
  if (!path.starts_with(directory)) return false;
  return path.size() == directory.size() || path[directory.size()] == '/';
}

std::string PrefixPlacer::Ensure(const std::string& prefix) {
  const std::string path = NormalPrefix(prefix);
  const ExistingPart part = FindExistingPart(path);
  if (!part.missing.empty() && !MakeOnHost(part)) {
    PlaceUnderlay(part.directory, part.missing);
    underlays_.push_back(part.directory);
  }
  const std::optional<std::string> real = ExistingPath(path);
  if (!real || !IsDirectory(*real)) {
    throw Error(ErrorKind::kMountPoint, "expected a directory to show the image at, found a file",
                kOtherPrefix)
        .WithPath(prefix);
  }
  return *real;
}

void PrefixPlacer::Seal() const {
  for (const std::string& place : underlays_) SealUnderlay(place);
}

}  // namespace firn
