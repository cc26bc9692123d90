#include "mountd/underlay.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <utility>

#include "format/error.h"
#include "format/file.h"

namespace firn {
namespace {

constexpr unsigned long kTmpfsFlags = MS_NOSUID | MS_NODEV;
constexpr char kAskForDirectory[] =
    "Ask the site to make the image's prefix as an empty directory on this machine.";

Error Failure(const std::string& message, int error_number) {
  return SystemError(ErrorKind::kSystem, error_number, message, kAskForDirectory);
}

// A path to what `fd` refers to, or to an entry below it, that no mount made later can cover.
std::string PathThrough(const FileDescriptor& fd, const std::string& below = {}) {
  std::string path = "/proc/self/fd/" + std::to_string(fd.get());
  if (!below.empty()) path += "/" + below;
  return path;
}

FileDescriptor OpenPath(const std::string& path) {
  FileDescriptor fd(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) throw Failure("cannot open", errno).WithPath(path);
  return fd;
}

UnderlayEntry::Kind KindOf(int directory, const dirent& entry) {
  switch (entry.d_type) {
    case DT_DIR:
      return UnderlayEntry::Kind::kDirectory;
    case DT_LNK:
      return UnderlayEntry::Kind::kSymlink;
    case DT_UNKNOWN: {
      struct stat status;
      if (fstatat(directory, entry.d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) break;
      if (S_ISDIR(status.st_mode)) return UnderlayEntry::Kind::kDirectory;
      if (S_ISLNK(status.st_mode)) return UnderlayEntry::Kind::kSymlink;
      break;
    }
    default:
      break;
  }
  return UnderlayEntry::Kind::kOther;
}

std::vector<UnderlayEntry> ListEntries(const std::string& place) {
  const auto close_directory = [](DIR* directory) { closedir(directory); };
  const std::unique_ptr<DIR, decltype(close_directory)> directory(opendir(place.c_str()),
                                                                  close_directory);
  if (directory == nullptr) {
    throw Failure("its entries must be listed to add the image's prefix beside them", errno)
        .WithPath(place);
  }
  std::vector<UnderlayEntry> entries;
  errno = 0;
  while (const dirent* found = readdir(directory.get())) {
    UnderlayEntry entry{found->d_name, KindOf(dirfd(directory.get()), *found), {}};
    if (entry.kind == UnderlayEntry::Kind::kSymlink) {
      char target[PATH_MAX];
      const ssize_t length =
          readlinkat(dirfd(directory.get()), found->d_name, target, sizeof target);
      // It vanished since it was listed.
      if (length <= 0) continue;
      entry.link_target.assign(target, static_cast<size_t>(length));
    }
    if (entry.name != "." && entry.name != "..") entries.push_back(std::move(entry));
    errno = 0;
  }
  if (errno != 0) throw Failure("cannot list the directory", errno).WithPath(place);
  return entries;
}

// What cannot be bound for reasons of its own (an automount whose server is gone, somebody else's
// FUSE mount, an entry that has just vanished) stays an empty placeholder: the job may never look
// at it. Reasons that would hit every entry are errors.
bool IsEntrysOwnFault(int error_number) {
  return error_number != EPERM && error_number != EINVAL && error_number != ENOSPC &&
         error_number != ENOMEM && error_number != ENOTDIR;
}

void Bind(const FileDescriptor& host, const FileDescriptor& tmpfs, const std::string& name) {
  const std::string source = PathThrough(host, name);
  const std::string target = PathThrough(tmpfs, name);
  if (mount(source.c_str(), target.c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0) return;
  if (IsEntrysOwnFault(errno)) return;
  throw Failure("cannot show the host's '" + name + "' beside the image's prefix", errno);
}

void CarryOut(const UnderlayStep& step, const FileDescriptor& host, const FileDescriptor& tmpfs) {
  const char* path = step.path.c_str();
  switch (step.action) {
    case UnderlayStep::Action::kBindDirectory:
      if (mkdirat(tmpfs.get(), path, 0755) != 0) break;
      return Bind(host, tmpfs, step.path);
    case UnderlayStep::Action::kBindFile: {
      const FileDescriptor file(
          openat(tmpfs.get(), path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0444));
      if (!file.valid()) break;
      return Bind(host, tmpfs, step.path);
    }
    case UnderlayStep::Action::kSymlink:
      if (symlinkat(step.link_target.c_str(), tmpfs.get(), path) != 0) break;
      return;
    case UnderlayStep::Action::kMakeDirectory:
      if (mkdirat(tmpfs.get(), path, 0755) != 0) break;
      return;
  }
  throw Failure("cannot make '" + step.path + "' in the underlay", errno);
}

FileDescriptor MountTmpfs(const std::string& place, const FileDescriptor& host) {
  struct stat status;
  if (fstat(host.get(), &status) != 0) throw Failure("cannot stat", errno).WithPath(place);
  // Whoever could not enter or list the host's directory cannot enter or list its stand-in.
  char options[32];
  std::snprintf(options, sizeof options, "mode=%04o", (status.st_mode & 0555u) | 0700u);
  if (mount("firn-underlay", place.c_str(), "tmpfs", kTmpfsFlags, options) != 0) {
    throw Failure("cannot mount a tmpfs", errno).WithPath(place);
  }
  FileDescriptor tmpfs = OpenPath(place);
  // Works for root only; in a user namespace the host's owner has no uid.
  if (fchownat(tmpfs.get(), "", status.st_uid, status.st_gid, AT_EMPTY_PATH) != 0) errno = 0;
  return tmpfs;
}

void CoverDirectory(const UnderlayPlan& plan) {
  const FileDescriptor host = OpenPath(plan.place);
  const FileDescriptor tmpfs = MountTmpfs(plan.place, host);
  for (const UnderlayStep& step : plan.steps) CarryOut(step, host, tmpfs);
}

// Any directory of the root can carry the new root while it is built, but for /proc, which paths
// through descriptors need.
std::string FindRootsScaffold(const UnderlayPlan& plan) {
  for (const UnderlayStep& step : plan.steps) {
    if (step.action == UnderlayStep::Action::kBindDirectory && step.path != "proc") {
      return "/" + step.path;
    }
  }
  throw Error(ErrorKind::kSystem, "the root directory has no directory but /proc",
              kAskForDirectory);
}

void ReplaceRoot(const UnderlayPlan& plan) {
  // The entries are taken from a copy of the whole tree: in the original, the new root would
  // cover one of them. The copy and the original go with the old root.
  const std::string scaffold = FindRootsScaffold(plan);
  if (mount("/", scaffold.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) {
    throw Failure("cannot copy the tree of mounts", errno).WithPath("/");
  }
  const FileDescriptor host = OpenPath(scaffold);
  const FileDescriptor tmpfs = MountTmpfs(scaffold, host);
  for (const UnderlayStep& step : plan.steps) CarryOut(step, host, tmpfs);

  if (fchdir(tmpfs.get()) != 0) throw Failure("cannot enter the new root", errno);
  // With both arguments ".", the old root ends up mounted over the new one, and is taken off.
  if (syscall(SYS_pivot_root, ".", ".") == 0) {
    if (umount2(".", MNT_DETACH) != 0) throw Failure("cannot leave the old root", errno);
  } else if (errno != EINVAL || chroot(".") != 0) {
    // EINVAL: the old root is an initramfs or itself a chroot.
    throw Failure("cannot change the job's root directory", errno);
  }
  if (chdir("/") != 0) throw Failure("cannot enter the new root", errno);
}

}  // namespace

UnderlayPlan PlanUnderlay(std::string place, const std::vector<std::string>& missing,
                          std::vector<UnderlayEntry> entries) {
  using Action = UnderlayStep::Action;
  UnderlayPlan plan{std::move(place), {}};
  std::sort(entries.begin(), entries.end(),
            [](const UnderlayEntry& a, const UnderlayEntry& b) { return a.name < b.name; });
  for (UnderlayEntry& entry : entries) {
    if (entry.name == missing.front()) continue;
    switch (entry.kind) {
      case UnderlayEntry::Kind::kDirectory:
        plan.steps.push_back({Action::kBindDirectory, std::move(entry.name), {}});
        break;
      case UnderlayEntry::Kind::kSymlink:
        plan.steps.push_back(
            {Action::kSymlink, std::move(entry.name), std::move(entry.link_target)});
        break;
      case UnderlayEntry::Kind::kOther:
        plan.steps.push_back({Action::kBindFile, std::move(entry.name), {}});
        break;
    }
  }
  std::string path;
  for (const std::string& component : missing) {
    path += path.empty() ? component : "/" + component;
    plan.steps.push_back({Action::kMakeDirectory, path, {}});
  }
  return plan;
}

void PlaceUnderlay(const std::string& place, const std::vector<std::string>& missing) {
  const UnderlayPlan plan = PlanUnderlay(place, missing, ListEntries(place));
  if (plan.ReplacesRoot()) {
    ReplaceRoot(plan);
  } else {
    CoverDirectory(plan);
  }
}

void SealUnderlay(const std::string& place) {
  if (mount(nullptr, place.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | kTmpfsFlags,
            nullptr) != 0) {
    throw Failure("cannot make the underlay read-only", errno).WithPath(place);
  }
}

}  // namespace firn
