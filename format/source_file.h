#ifndef FIRN_FORMAT_SOURCE_FILE_H_
#define FIRN_FORMAT_SOURCE_FILE_H_

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "format/file.h"
#include "format/types.h"

namespace firn {

// What tells whether a file is still the one that was seen before, and unchanged.
struct SourceStamp {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size = 0;     // bytes
  int64_t mtime_ns = 0;  // nanoseconds since 1970
  int64_t ctime_ns = 0;

  static SourceStamp Of(const struct stat& status);

  bool operator==(const SourceStamp&) const = default;
};

// Opens a path below a directory without following a symlink in its last part. The path may be
// longer than PATH_MAX. Returns an invalid descriptor, with errno set, where that fails.
FileDescriptor OpenBelow(int directory, std::string_view relative_path, int flags);

// A regular file of the tree that an image is made from, read once from start to end.
class SourceFile {
 public:
  // Throws kInput unless it is the file that `expected` describes. Errors name `shown_path`.
  SourceFile(int directory, std::string_view relative_path, std::string shown_path,
             const SourceStamp& expected);

  const std::string& path() const { return path_; }  // as it is shown
  uint64_t size() const { return stamp_.size; }
  // Fills the buffer, or what is left of the file. Throws kInput if the file got shorter.
  ByteSpan Read(MutableByteSpan buffer);
  void Rewind() { position_ = 0; }
  // Throws kInput if the file was written to since it was opened.
  void CheckUnchanged() const;

 private:
  std::string path_;
  SourceStamp stamp_;
  FileDescriptor fd_;
  uint64_t position_ = 0;
};

}  // namespace firn

#endif  // FIRN_FORMAT_SOURCE_FILE_H_
