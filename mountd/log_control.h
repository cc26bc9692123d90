#ifndef FIRN_MOUNTD_LOG_CONTROL_H_
#define FIRN_MOUNTD_LOG_CONTROL_H_

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "mountd/log_settings.h"
#include "mountd/session_status.h"

namespace firn {

// What firnd answers to the ops of its control socket that are about the log, one line of JSON:
// "log", "set_log_level" (with "level") and "reopen_log" give how the log goes then, or an error.
// Nothing for any other request.
std::optional<std::string> AnswerLogRequest(const nlohmann::json& request);

struct LogChange {
  std::optional<LogLevel> level;
  bool reopen = false;
};

// Has the session change its log, and tells how that goes then. Nothing where the session has ended
// meanwhile. Throws what the session could not do, or kNoReply.
std::optional<LogSettings> ChangeLog(const SessionStatus& session, const LogChange& change);

}  // namespace firn

#endif  // FIRN_MOUNTD_LOG_CONTROL_H_
