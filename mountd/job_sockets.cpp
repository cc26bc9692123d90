#include "mountd/job_sockets.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string_view>
#include <system_error>

namespace firn {
namespace {

constexpr std::string_view kJobPrefix = "job-";

std::vector<std::string> JobFilesIn(const RuntimeDirectory& directory, std::string_view suffix) {
  std::vector<std::string> names;
  std::error_code ignored;  // it may vanish meanwhile
  for (const auto& entry : std::filesystem::directory_iterator(directory.path(), ignored)) {
    std::string name = entry.path().filename().string();
    if (name.starts_with(kJobPrefix) && name.ends_with(suffix)) names.push_back(std::move(name));
  }
  return names;
}

}  // namespace

std::string JobFile(const std::string& job, const char* suffix) {
  return std::string(kJobPrefix) + job + suffix;
}

bool IsStillThere(const RuntimeDirectory& directory, const std::string& name,
                  const FileDescriptor& file) {
  struct stat held {};
  struct stat found {};
  return fstat(file.get(), &held) == 0 &&
         fstatat(directory.fd(), name.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0 &&
         held.st_dev == found.st_dev && held.st_ino == found.st_ino;
}

std::vector<std::string> JobSocketsIn(const RuntimeDirectory& directory) {
  return JobFilesIn(directory, kSocketSuffix);
}

void RemoveStaleJobFiles(const RuntimeDirectory& directory) {
  for (const char* suffix : {kLockSuffix, kStartSuffix}) {
    for (const std::string& name : JobFilesIn(directory, suffix)) {
      const FileDescriptor lock(
          openat(directory.fd(), name.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
      if (!lock.valid() || flock(lock.get(), LOCK_EX | LOCK_NB) != 0 ||
          !IsStillThere(directory, name, lock)) {
        continue;
      }
      if (std::string_view(suffix) == kLockSuffix) {
        const std::string stem = name.substr(0, name.size() - std::string_view(suffix).size());
        unlinkat(directory.fd(), (stem + kSocketSuffix).c_str(), 0);
      }
      unlinkat(directory.fd(), name.c_str(), 0);
    }
  }
}

}  // namespace firn
