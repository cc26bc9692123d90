#ifndef FIRN_FORMAT_FILE_H_
#define FIRN_FORMAT_FILE_H_

#include <cstdint>
#include <string>
#include <utility>

#include "format/error.h"
#include "format/types.h"

namespace firn {

// Owns a file descriptor; -1 is none. Movable, closes on destruction.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor() { Close(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release() { return std::exchange(fd_, -1); }
  void Close();

 private:
  int fd_ = -1;
};

// Opens with O_CLOEXEC. Throws an Error of `kind` that names the path.
FileDescriptor OpenFile(const std::string& path, int flags, ErrorKind kind);
// Opens a path below `directory` with O_CLOEXEC, with openat2(2): `resolve` has its RESOLVE_* bits.
// What is created is for its owner alone. Invalid, with errno set, where it cannot be opened.
FileDescriptor OpenWithin(int directory, const std::string& path, int flags, uint64_t resolve);

// Reads up to buffer.size() bytes at `offset`, less only at the end of the file. Returns the
// number read. Thread-safe. Throws kDamaged with the errno's text where the storage fails.
size_t ReadAt(int fd, uint64_t offset, MutableByteSpan buffer);

// Tells the kernel that it need not keep [offset, offset + length) of the file in its page cache,
// nor what lies at most 2 MiB before it: right for a file that is read from front to back in
// pieces.
void DropCached(int fd, uint64_t offset, uint64_t length);

// Writes all of `bytes`. Throws kOutput ("disk full" is named as such).
void WriteAt(int fd, uint64_t offset, ByteSpan bytes);

// Length of the file in bytes.
uint64_t FileSize(int fd);

// A file that appears under its name only when it is whole: written to a temporary name in the
// same directory, fsynced and renamed by Commit(). Destroyed before that, it leaves nothing.
class OutputFile {
 public:
  // `replace`: whether Commit() may take the place of an existing file. Where it may not, an
  // existing file is refused here already. Throws kOutput.
  OutputFile(std::string path, bool replace);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }
  const std::string& temporary_path() const { return temporary_path_; }
  void Commit();

 private:
  std::string path_;
  std::string temporary_path_;
  bool replace_;
  FileDescriptor fd_;
};

}  // namespace firn

#endif  // FIRN_FORMAT_FILE_H_
