#include "mountd/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/syslog_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <string>
#include <utility>

#include "format/error.h"
#include "mountd/log_file.h"
#include "mountd/log_format.h"
#include "mountd/log_journal.h"

namespace firn {
namespace {

// What the log was started with, for the thread that started it; the logger itself is
// spdlog's.
LogSettings current_settings;
std::shared_ptr<LogFile> current_file;

// Of a process whose lines another one writes.
std::function<void(LogLevel, std::string_view, const LogFields&)> log_forwarder;
const std::atomic<uint32_t>* followed_level = nullptr;

spdlog::level::level_enum LevelOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

// Nothing where the file cannot be opened and need not be; `refusal` says why then.
std::shared_ptr<LogFile> OpenLogFile(const LogSettings& settings, std::string& refusal) {
  if (settings.destination != LogDestination::kFile) return nullptr;
  try {
    return std::make_shared<LogFile>(settings.file);
  } catch (const Error& error) {
    if (!settings.file_is_optional) throw;
    refusal = error.path() + ": " + error.message();
    return nullptr;
  }
}

spdlog::sink_ptr MakeSink(LogDestination destination) {
  switch (destination) {
    case LogDestination::kFile:
      return current_file;
    case LogDestination::kJournal:
      return MakeJournalSink();
    case LogDestination::kStderr:
      return std::make_shared<spdlog::sinks::stderr_sink_mt>();
    case LogDestination::kDefault:
    case LogDestination::kSyslog:
      break;
  }
  return std::make_shared<spdlog::sinks::syslog_sink_mt>("firnd", LOG_PID, LOG_DAEMON,
                                                         /*enable_formatting=*/true);
}

}  // namespace

void StartLog(const LogSettings& settings, bool foreground) {
  std::string refusal;
  current_settings = settings;
  current_file = OpenLogFile(settings, refusal);
  const bool is_default =
      settings.destination == LogDestination::kDefault || !refusal.empty() ||
      (settings.destination == LogDestination::kStderr && !foreground);  // there it is /dev/null
  if (is_default) {
    current_settings.destination = foreground ? LogDestination::kStderr : LogDestination::kSyslog;
  }
  const spdlog::sink_ptr sink = MakeSink(current_settings.destination);
  const bool is_bare = current_settings.destination == LogDestination::kSyslog;
  sink->set_formatter(
      MakeLogFormatter(current_settings.format, is_bare ? LogFrame::kBare : LogFrame::kWhole));
  const auto logger = std::make_shared<spdlog::logger>("firnd", sink);
  logger->set_level(LevelOf(current_settings.level));
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(logger);
  if (!refusal.empty())
    LogInfo("logging to {}: {}", ToString(current_settings.destination), refusal);
}

LogSettings CurrentLog() { return current_settings; }

void SetLogLevel(LogLevel level) {
  spdlog::default_logger_raw()->set_level(LevelOf(level));
  current_settings.level = level;
}

void ReopenLog() {
  if (current_file != nullptr) current_file->Reopen();
}

void ForwardLogTo(std::function<void(LogLevel, std::string_view, const LogFields&)> take) {
  log_forwarder = std::move(take);
}

void FollowLogLevel(const std::atomic<uint32_t>& level) { followed_level = &level; }

void LogLine(LogLevel level, std::string_view message, const LogFields& fields) {
  if (log_forwarder) {
    log_forwarder(level, message, fields);
    return;
  }
  const LineFields line(fields);
  spdlog::default_logger_raw()->log(LevelOf(level),
                                    spdlog::string_view_t(message.data(), message.size()));
}

bool IsLogged(LogLevel level) {
  if (followed_level != nullptr) return static_cast<uint32_t>(level) >= followed_level->load();
  return spdlog::default_logger_raw()->should_log(LevelOf(level));
}

}  // namespace firn
