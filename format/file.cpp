#include "format/file.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>

namespace firn {
namespace {

constexpr char kForceHint[] = "Give --force to replace it, or choose another name with -o.";

std::string DirectoryOf(const std::string& path) {
  const std::string directory = std::filesystem::path(path).parent_path().string();
  return directory.empty() ? "." : directory;
}

Error WriteError(int error_number) {
  if (error_number == ENOSPC || error_number == EDQUOT) {
    return SystemError(ErrorKind::kOutput, error_number, "cannot write",
                       "Free space there, or write to another file system.");
  }
  return SystemError(ErrorKind::kOutput, error_number, "cannot write");
}

// A file made under a umask of its own would keep mkostemp's 0600.
void ApplyUmask(int fd) {
  const mode_t mask = umask(0);
  umask(mask);
  fchmod(fd, 0666 & ~mask);
}

}  // namespace

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    Close();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void FileDescriptor::Close() {
  if (fd_ >= 0) close(std::exchange(fd_, -1));
}

FileDescriptor OpenFile(const std::string& path, int flags, ErrorKind kind) {
  const int fd = open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0) throw SystemError(kind, errno, "cannot open").WithPath(path);
  return FileDescriptor(fd);
}

FileDescriptor OpenWithin(int directory, const std::string& path, int flags, uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.mode = (flags & O_CREAT) != 0 ? 0600 : 0;
  how.resolve = resolve;
  long fd;
  do {
    fd = syscall(SYS_openat2, directory, path.c_str(), &how, sizeof how);
  } while (fd < 0 && errno == EINTR);
  return FileDescriptor(static_cast<int>(fd));
}

size_t ReadAt(int fd, uint64_t offset, MutableByteSpan buffer) {
  size_t done = 0;
  while (done < buffer.size()) {
    const ssize_t got =
        pread(fd, buffer.data() + done, buffer.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      throw SystemError(ErrorKind::kDamaged, errno, "cannot read",
                        "The storage does not give the bytes; restore the file from a copy.")
          .WithOffset(offset + done);
    }
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

void DropCached(int fd, uint64_t offset, uint64_t length) {
  // The page cache holds folios of up to 2 MiB and gives up only those that lie in the range as a
  // whole. A piece read before this one left the folio that reaches into both.
  constexpr uint64_t kLargestFolio = uint64_t{2} << 20;
  const uint64_t before = std::min(offset, kLargestFolio);
  // A hint: where the file system does not know it, nothing is lost.
  posix_fadvise(fd, static_cast<off_t>(offset - before), static_cast<off_t>(before + length),
                POSIX_FADV_DONTNEED);
}

void WriteAt(int fd, uint64_t offset, ByteSpan bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t put =
        pwrite(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) throw WriteError(errno).WithOffset(offset + done);
    done += static_cast<size_t>(put);
  }
}

uint64_t FileSize(int fd) {
  struct stat status;
  // The C library makes fstat() of fstatat(), which a confined worker is refused as it takes paths.
  // The kernel's structure is the C library's on 64-bit machines.
  static_assert(sizeof(long) == 8);
  if (syscall(SYS_fstat, fd, &status) != 0)
    throw SystemError(ErrorKind::kInternal, errno, "cannot stat");
  return static_cast<uint64_t>(status.st_size);
}

OutputFile::OutputFile(std::string path, bool replace) : path_(std::move(path)), replace_(replace) {
  struct stat status;
  if (lstat(path_.c_str(), &status) == 0) {
    if (!replace_) throw Error(ErrorKind::kOutput, "exists already", kForceHint).WithPath(path_);
    if (!S_ISREG(status.st_mode)) {
      throw Error(ErrorKind::kOutput, "is not a regular file",
                  "--force replaces regular files only; choose another name with -o.")
          .WithPath(path_);
    }
  }
  temporary_path_ = path_ + ".XXXXXX";
  fd_ = FileDescriptor(mkostemp(temporary_path_.data(), O_CLOEXEC));
  if (!fd_.valid()) {
    throw SystemError(ErrorKind::kOutput, errno, "cannot create a file in " + DirectoryOf(path_),
                      "Check that the directory exists and that you may write to it.")
        .WithPath(path_);
  }
  ApplyUmask(fd_.get());
}

OutputFile::~OutputFile() {
  if (!temporary_path_.empty()) unlink(temporary_path_.c_str());
}

void OutputFile::Commit() {
  if (fsync(fd_.get()) != 0) throw WriteError(errno).WithPath(path_);
  // RENAME_NOREPLACE: another process may have made the file since the constructor looked.
  const unsigned flags = replace_ ? 0 : RENAME_NOREPLACE;
  if (renameat2(AT_FDCWD, temporary_path_.c_str(), AT_FDCWD, path_.c_str(), flags) != 0) {
    if (errno == EEXIST) {
      throw Error(ErrorKind::kOutput, "exists already", kForceHint).WithPath(path_);
    }
    // Some file systems (NFS among them) know no RENAME_NOREPLACE; link() refuses as well.
    if (errno != EINVAL || link(temporary_path_.c_str(), path_.c_str()) != 0) {
      throw SystemError(ErrorKind::kOutput, errno, "cannot rename the finished file")
          .WithPath(path_);
    }
    unlink(temporary_path_.c_str());
  }
  temporary_path_.clear();
  const FileDescriptor directory =
      OpenFile(DirectoryOf(path_), O_RDONLY | O_DIRECTORY, ErrorKind::kOutput);
  fsync(directory.get());
}

}  // namespace firn
