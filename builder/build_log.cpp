#include "builder/build_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "format/error.h"

namespace firn {

BuildLog::BuildLog(const std::string& path, std::function<void(std::string_view line)> show)
    : path_(path), show_(std::move(show)) {
  if (path_.empty()) return;
  file_ = FileDescriptor(
      open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (file_.valid()) return;
  throw SystemError(ErrorKind::kOutput, errno, "cannot write the log of the build",
                    "It lies beside the image; choose a directory that you may write to.")
      .WithPath(path_);
}

void BuildLog::Write(std::string_view line) {
  if (show_) show_(line);
  if (!file_.valid()) return;
  const std::string text = std::string(line) + "\n";
  if (write(file_.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    throw SystemError(ErrorKind::kOutput, errno, "cannot write the log of the build")
        .WithPath(path_);
  }
}

}  // namespace firn
