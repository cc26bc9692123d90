#include "format/source_file.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <utility>

namespace firn {
namespace {

constexpr char kChangedHint[] = "Build from a tree that nothing writes to.";

int64_t Nanoseconds(const struct timespec& time) {
  return static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

Error Changed(const std::string& path) {
  return Error(ErrorKind::kInput, "changed while it was read", kChangedHint).WithPath(path);
}

}  // namespace

SourceStamp SourceStamp::Of(const struct stat& status) {
  return {.device = status.st_dev,
          .inode = status.st_ino,
          .size = static_cast<uint64_t>(status.st_size),
          .mtime_ns = Nanoseconds(status.st_mtim),
          .ctime_ns = Nanoseconds(status.st_ctim)};
}

FileDescriptor OpenBelow(int directory, std::string_view relative_path, int flags) {
  FileDescriptor step;
  std::string_view rest = relative_path;
  while (rest.size() >= PATH_MAX) {
    const size_t cut = rest.rfind('/', PATH_MAX - 1);
    if (cut == std::string_view::npos) {
      errno = ENAMETOOLONG;
      return {};
    }
    const int from = step.valid() ? step.get() : directory;
    step = FileDescriptor(openat(from, std::string(rest.substr(0, cut)).c_str(),
                                 O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!step.valid()) return {};
    rest.remove_prefix(cut + 1);
  }
  const int from = step.valid() ? step.get() : directory;
  return FileDescriptor(openat(from, std::string(rest).c_str(), flags | O_NOFOLLOW | O_CLOEXEC));
}

SourceFile::SourceFile(int directory, std::string_view relative_path, std::string shown_path,
                       const SourceStamp& expected)
    : path_(std::move(shown_path)),
      stamp_(expected),
      // O_NONBLOCK: a fifo that took the file's place must not hold us.
      fd_(OpenBelow(directory, relative_path, O_RDONLY | O_NONBLOCK | O_NOCTTY)) {
  if (!fd_.valid()) {
    const int error = errno;
    if (error == ENOENT) {
      throw Error(ErrorKind::kInput, "vanished while the tree was read", kChangedHint)
          .WithPath(path_);
    }
    throw SystemError(ErrorKind::kInput, error, "cannot read",
                      error == EACCES || error == EPERM
                          ? "Make it readable for the user who builds, or build as its owner."
                          : "")
        .WithPath(path_);
  }
  CheckUnchanged();
}

ByteSpan SourceFile::Read(MutableByteSpan buffer) {
  const uint64_t left = stamp_.size - position_;
  const size_t wanted = static_cast<size_t>(std::min<uint64_t>(left, buffer.size()));
  size_t got = 0;
  try {
    got = ReadAt(fd_.get(), position_, buffer.first(wanted));
  } catch (const Error& error) {
    throw Error(ErrorKind::kInput, error.message(), error.remedy())
        .WithOffset(error.offset().value_or(position_))
        .WithPath(path_);
  }
  if (got < wanted) throw Changed(path_);
  position_ += got;
  return buffer.first(got);
}

void SourceFile::CheckUnchanged() const {
  struct stat status;
  if (fstat(fd_.get(), &status) != 0) {
    throw SystemError(ErrorKind::kInput, errno, "cannot stat").WithPath(path_);
  }
  if (!S_ISREG(status.st_mode) || SourceStamp::Of(status) != stamp_) throw Changed(path_);
}

}  // namespace firn
