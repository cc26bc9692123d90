#include "mountd/log_control.h"

#include <unistd.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "format/error.h"
#include "format/json_input.h"
#include "mountd/carried_error.h"
#include "mountd/control_client.h"
#include "mountd/json_line.h"
#include "mountd/log.h"
#include "mountd/readiness.h"

namespace firn {
namespace {

using nlohmann::json;

std::string DescribeLog(const LogSettings& log) {
  json described = {{"level", ToString(log.level)},
                    {"format", ToString(log.format)},
                    {"destination", ToString(log.destination)}};
  if (log.destination == LogDestination::kFile) described["file"] = log.file;
  return JsonLine({{"log", described}});
}

void ApplyLogLevel(const json& request) {
  const auto name = request.find("level");
  const std::optional<LogLevel> level = name != request.end() && name->is_string()
                                            ? ParseLogLevel(name->get<std::string>())
                                            : std::nullopt;
  if (!level) throw Error(ErrorKind::kUsage, "expected a level: " + std::string(kLogLevelNames));
  SetLogLevel(*level);
  LogInfo("the log's level is {} from now on", ToString(*level));
}

Error UnexpectedLogAnswer(const SessionStatus& session, const std::string& found) {
  return Error(ErrorKind::kNoReply,
               "expected firnd " + std::to_string(session.pid) + " to tell of its log, found '" +
                   found + "'",
               "It may be of another version than firn; 'firn status DIR' shows which.");
}

std::optional<LogSettings> AskLog(const SessionStatus& session, const json& request) {
  const std::optional<std::string> answer = AskSession(session, JsonLine(request));
  if (!answer) {
    if (access(session.control.c_str(), F_OK) != 0) return std::nullopt;
    throw Error(ErrorKind::kNoReply, "firnd " + std::to_string(session.pid) + " does not answer")
        .WithPath(session.mount_point);
  }
  const json object = ParseJsonMessage(*answer);
  try {
    if (object.contains("error"))
      throw ErrorFromJson(object["error"]).WithPath(session.mount_point);
    const json& log = object.at("log");
    LogSettings settings;
    settings.level = ParseLogLevel(log.at("level").get<std::string>()).value();
    settings.format = ParseLogFormat(log.at("format").get<std::string>()).value();
    settings.destination = ParseLogDestination(log.at("destination").get<std::string>()).value();
    settings.file = log.value("file", std::string());
    return settings;
  } catch (const json::exception&) {
    throw UnexpectedLogAnswer(session, *answer);
  } catch (const std::bad_optional_access&) {
    throw UnexpectedLogAnswer(session, *answer);
  }
}

}  // namespace

std::optional<std::string> AnswerLogRequest(const json& request) {
  const auto op = request.find("op");
  if (op == request.end()) return std::nullopt;
  try {
    if (*op == "set_log_level") {
      ApplyLogLevel(request);
    } else if (*op == "reopen_log") {
      ReopenLog();
    } else if (*op != "log") {
      return std::nullopt;
    }
  } catch (const Error& error) {
    return FormatFailure(error);
  }
  return DescribeLog(CurrentLog());
}

std::optional<LogSettings> ChangeLog(const SessionStatus& session, const LogChange& change) {
  if (change.level &&
      !AskLog(session, {{"op", "set_log_level"}, {"level", ToString(*change.level)}})) {
    return std::nullopt;
  }
  return AskLog(session, {{"op", change.reopen ? "reopen_log" : "log"}});
}

}  // namespace firn
