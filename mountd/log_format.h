#ifndef FIRN_MOUNTD_LOG_FORMAT_H_
#define FIRN_MOUNTD_LOG_FORMAT_H_

#include <spdlog/formatter.h>

#include <memory>
#include <string>
#include <string_view>

#include "mountd/log_settings.h"

namespace firn {

// What a line of the log looks like.
enum class LogFrame {
  kWhole,  // time, process, level and message, and a line feed
  kBare,   // for syslog, which has the rest of its own: the message; in JSON the object
};

std::unique_ptr<spdlog::formatter> MakeLogFormatter(LogFormat format, LogFrame frame);

// `text` on one line, so that a path cannot forge a line: control characters as \xNN, a line feed
// as "; ".
std::string OnOneLine(std::string_view text);

}  // namespace firn

#endif  // FIRN_MOUNTD_LOG_FORMAT_H_
