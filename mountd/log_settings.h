#ifndef FIRN_MOUNTD_LOG_SETTINGS_H_
#define FIRN_MOUNTD_LOG_SETTINGS_H_

#include <optional>
#include <string>
#include <string_view>

namespace firn {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
enum class LogFormat { kText, kJson };
// kDefault: standard error in the foreground, syslog in the background.
enum class LogDestination { kDefault, kStderr, kSyslog, kJournal, kFile };

struct LogSettings {
  LogLevel level = LogLevel::kInfo;  // this and what is worse
  LogFormat format = LogFormat::kText;
  LogDestination destination = LogDestination::kDefault;
  std::string file;  // with kFile: its absolute path
  // A site's file, which not every user may open: who may not logs to kDefault.
  bool file_is_optional = false;
};

// The names that the configuration and the command line use; nothing for any other text.
std::string_view ToString(LogLevel level);
std::string_view ToString(LogFormat format);
std::string_view ToString(LogDestination destination);
std::optional<LogLevel> ParseLogLevel(std::string_view name);
std::optional<LogFormat> ParseLogFormat(std::string_view name);
std::optional<LogDestination> ParseLogDestination(std::string_view name);

// All of them, for messages: "error, warning, info or debug".
inline constexpr std::string_view kLogLevelNames = "error, warning, info or debug";
inline constexpr std::string_view kLogFormatNames = "text or json";
inline constexpr std::string_view kLogDestinationNames = "stderr, syslog, journal or file";

}  // namespace firn

#endif  // FIRN_MOUNTD_LOG_SETTINGS_H_
