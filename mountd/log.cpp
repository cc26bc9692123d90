#include "mountd/log.h"

#include <fcntl.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/syslog_sink.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <memory>

#include "format/error.h"
#include "format/file.h"

namespace firn {
namespace {

// spdlog would make missing directories, and say less of what fails.
void RequireLogFile(const std::string& path) {
  const FileDescriptor file(open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666));
  if (file.valid()) return;
  throw SystemError(ErrorKind::kOutput, errno, "cannot open the log file",
                    "Give another file with --log-file, or leave it out to log to syslog.")
      .WithPath(path);
}

spdlog::level::level_enum LevelOf(LogLevel level) {
  switch (level) {
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

std::function<void(LogLevel, std::string_view)> log_forwarder;

}  // namespace

void ForwardLogTo(std::function<void(LogLevel, std::string_view)> take) {
  log_forwarder = std::move(take);
}

void StartLog(const std::string& file, bool foreground) {
  std::shared_ptr<spdlog::logger> logger;
  if (!file.empty()) {
    RequireLogFile(file);
    logger = spdlog::basic_logger_mt("firnd", file);
  } else if (foreground) {
    logger = spdlog::stderr_logger_mt("firnd");
  } else {
    logger = spdlog::syslog_logger_mt("firnd", "firnd", LOG_PID, LOG_DAEMON);
  }
  logger->flush_on(spdlog::level::info);
  if (file.empty() && !foreground) {
    logger->set_pattern("%v");  // syslog has time and level of its own
  } else {
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z firnd[%P] %l: %v");
  }
  spdlog::set_default_logger(logger);
}

void LogLine(LogLevel level, std::string_view message) {
  if (log_forwarder) {
    log_forwarder(level, message);
    return;
  }
  spdlog::default_logger_raw()->log(LevelOf(level),
                                    spdlog::string_view_t(message.data(), message.size()));
}

}  // namespace firn
