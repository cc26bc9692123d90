#ifndef FIRN_MOUNTD_STATE_FILE_H_
#define FIRN_MOUNTD_STATE_FILE_H_

#include <optional>
#include <string>
#include <string_view>

#include "format/file.h"

namespace firn {

// A text in memory that outlives the process through its descriptor. Who is killed while it writes
// leaves the text before. To be used by one thread.
class StateFile {
 public:
  // A new one. Throws kInternal.
  StateFile();
  // That which another process wrote.
  explicit StateFile(FileDescriptor fd) : fd_(std::move(fd)) {}

  int fd() const { return fd_.get(); }

  // Throws kInternal.
  void Write(std::string_view text);
  // Nothing where nothing was written, or the file is another one.
  std::optional<std::string> Read() const;

 private:
  FileDescriptor fd_;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_STATE_FILE_H_
