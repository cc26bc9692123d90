#ifndef FIRN_MOUNTD_LOG_FILE_H_
#define FIRN_MOUNTD_LOG_FILE_H_

#include <spdlog/sinks/base_sink.h>

#include <mutex>
#include <string>

#include "format/file.h"

namespace firn {

// A log file that several processes may append to, a line with one write(2), and that can be opened
// anew after somebody renamed it. Thread-safe.
class LogFile : public spdlog::sinks::base_sink<std::mutex> {
 public:
  // Makes the file where it is missing, but no directory. Throws kOutput.
  explicit LogFile(std::string path);

  // Opens the path once more. Throws kOutput; what was open stays in use then.
  void Reopen();

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override;
  void flush_() override {}  // nothing is held back

 private:
  const std::string path_;
  FileDescriptor file_;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_LOG_FILE_H_
