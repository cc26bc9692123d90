#ifndef FIRN_MOUNTD_LOG_H_
#define FIRN_MOUNTD_LOG_H_

#include <fmt/core.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>

#include "mountd/log_fields.h"
#include "mountd/log_settings.h"

namespace firn {

// Logs as `settings` say from now on. Throws kOutput where the file cannot be opened, kSystem where
// no journal is there.
void StartLog(const LogSettings& settings, bool foreground);

// How the log goes at present, the destination being where it goes in truth. This and the next two
// are for one thread.
LogSettings CurrentLog();

// From now on.
void SetLogLevel(LogLevel level);

// Opens the log file anew, after a rotation renamed it; no more than that for other destinations.
// Throws kOutput, and goes on with the old file then.
void ReopenLog();

// From now on lines go to `take` instead; it is called from any thread. Call it while there is one.
void ForwardLogTo(std::function<void(LogLevel, std::string_view, const LogFields&)> take);

// With ForwardLogTo(): what `level`, a LogLevel, says is logged. It outlives the logging threads;
// call it while there is one.
void FollowLogLevel(const std::atomic<uint32_t>& level);

// Thread-safe. Before StartLog, lines go to standard output.
void LogLine(LogLevel level, std::string_view message, const LogFields& fields = {});

// Is what has this level logged? Where making the message is work.
bool IsLogged(LogLevel level);

// spdlog's own templates cost each file that logs many seconds of compiling; these do not.
template <typename... Arguments>
void LogDebug(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  if (!IsLogged(LogLevel::kDebug)) return;
  LogLine(LogLevel::kDebug, fmt::vformat(format, fmt::make_format_args(arguments...)));
}
template <typename... Arguments>
void LogInfo(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  LogLine(LogLevel::kInfo, fmt::vformat(format, fmt::make_format_args(arguments...)));
}
template <typename... Arguments>
void LogWarning(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  LogLine(LogLevel::kWarning, fmt::vformat(format, fmt::make_format_args(arguments...)));
}
template <typename... Arguments>
void LogError(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  LogLine(LogLevel::kError, fmt::vformat(format, fmt::make_format_args(arguments...)));
}

}  // namespace firn

#endif  // FIRN_MOUNTD_LOG_H_
