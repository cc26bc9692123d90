#ifndef FIRN_MOUNTD_LOG_H_
#define FIRN_MOUNTD_LOG_H_

#include <fmt/core.h>

#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace firn {

enum class LogLevel { kInfo, kWarning, kError };

// Where firnd logs from now on: a file, else standard error where it stays in the foreground, else
// syslog. Throws kOutput where the file cannot be opened.
void StartLog(const std::string& file, bool foreground);

// From now on lines go to `take` instead; it is called from any thread. Call it while there is one.
void ForwardLogTo(std::function<void(LogLevel, std::string_view)> take);

// Thread-safe. Before StartLog, lines go to standard output.
void LogLine(LogLevel level, std::string_view message);

// spdlog's own templates cost each file that logs many seconds of compiling; these do not.
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
