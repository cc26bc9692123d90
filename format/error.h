#ifndef FIRN_FORMAT_ERROR_H_
#define FIRN_FORMAT_ERROR_H_

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace firn {

// What went wrong, as a script sees it: each kind is one exit code of firn(1).
enum class ErrorKind : int {
  kInternal = 1,       // a defect of Firn, or a system call that had no reason to fail
  kUsage = 2,          // the command line
  kInput = 3,          // the tree to build from: missing, unreadable, changed while read
  kOutput = 4,         // the file to write: exists, not writable, disk full
  kDamaged = 5,        // not an image, or an image whose bytes are not what they must be
  kUnsupported = 6,    // an image that this version or this build cannot read
  kSystem = 7,         // something the machine lacks or forbids: /dev/fuse, fusermount3, namespaces
  kMountPoint = 8,     // the mount point: missing, not empty, in use, not ours
  kNoReply = 9,        // firnd did not start, died, or did not answer
  kCheck = 10,         // a check of an image failed
  kUntrusted = 11,     // an image that is not signed, or not owned, as it must be
  kInterrupted = 130,  // Ctrl-C or SIGTERM
};

// The one family of exceptions. Carries what, where and what to do next; what() is the whole
// message, "PATH: at offset N: MESSAGE\nREMEDY", parts that are absent left out.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, std::string message, std::string remedy = {});

  // Copies with a place added; a place that is already known is kept, as the innermost is the
  // most exact.
  Error WithPath(std::string_view path) const;
  Error WithOffset(uint64_t offset) const;
  // A copy that says first what it is about.
  Error About(std::string_view object) const;

  ErrorKind kind() const { return kind_; }
  int exit_code() const { return static_cast<int>(kind_); }
  const std::string& message() const { return message_; }
  const std::string& path() const { return path_; }
  std::optional<uint64_t> offset() const { return offset_; }
  const std::string& remedy() const { return remedy_; }

 private:
  Error(ErrorKind kind, std::string message, std::string remedy, std::string path,
        std::optional<uint64_t> offset);

  ErrorKind kind_;
  std::string message_;
  std::string remedy_;
  std::string path_;
  std::optional<uint64_t> offset_;
};

// An Error whose message ends in the text of `error_number` (an errno value).
Error SystemError(ErrorKind kind, int error_number, std::string_view message,
                  std::string remedy = {});

// kDamaged, with the remedy that every damaged file has: another copy.
Error DamagedError(std::string message, std::optional<uint64_t> offset = std::nullopt);

}  // namespace firn

#endif  // FIRN_FORMAT_ERROR_H_
