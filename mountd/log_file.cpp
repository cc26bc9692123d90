#include "mountd/log_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace firn {
namespace {

FileDescriptor OpenLog(const std::string& path, int flags) {
  FileDescriptor file(open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | flags, 0666));
  if (file.valid()) return file;
  throw SystemError(ErrorKind::kOutput, errno, "cannot open the log file",
                    "Make its directory, or give another file (--log-file, or log: file: in the "
                    "configuration).")
      .WithPath(path);
}

}  // namespace

LogFile::LogFile(std::string path) : path_(std::move(path)), file_(OpenLog(path_, 0)) {}

void LogFile::Reopen() {
  // The caller serves requests: a fifo that took the file's place must not hold it.
  FileDescriptor file = OpenLog(path_, O_NONBLOCK);
  fcntl(file.get(), F_SETFL, O_APPEND);
  const std::lock_guard lock(mutex_);
  file_ = std::move(file);
}

void LogFile::sink_it_(const spdlog::details::log_msg& message) {
  spdlog::memory_buf_t line;
  formatter_->format(message, line);
  for (size_t done = 0; done < line.size();) {
    const ssize_t written = write(file_.get(), line.data() + done, line.size() - done);
    if (written < 0 && errno == EINTR) continue;
    // spdlog tells standard error, once a second at most.
    if (written < 0) throw spdlog::spdlog_ex("cannot write to " + path_, errno);
    done += static_cast<size_t>(written);
  }
}

}  // namespace firn
