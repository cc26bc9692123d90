#include "mountd/readiness.h"

#include <nlohmann/json.hpp>

#include "format/json_input.h"
#include "mountd/carried_error.h"
#include "mountd/json_line.h"

namespace firn {
namespace {

using nlohmann::json;

[[noreturn]] void ThrowUnexpected(std::string_view line) {
  throw Error(ErrorKind::kNoReply,
              "expected firnd to say that it is ready, found '" + std::string(line) + "'",
              "Check that firn and firnd are of the same version ('firnd --version').");
}

}  // namespace

std::string FormatReady(const SessionAddress& address) {
  return JsonLine({{"ready", true},
                   {"pid", address.pid},
                   {"view", ToString(address.view)},
                   {"control", address.control}});
}

std::string FormatFailure(const Error& error) { return JsonLine({{"error", ErrorToJson(error)}}); }

SessionAddress ParseReadiness(std::string_view line) {
  if (line.empty()) {
    throw Error(ErrorKind::kNoReply, "firnd ended before it was ready",
                "Its log (syslog, or --log-file) may say why; 'firnd --foreground IMAGE DIR' shows "
                "it at once.");
  }
  const json message = ParseJsonMessage(line);
  if (!message.is_object()) ThrowUnexpected(line);
  try {
    if (message.contains("error")) throw ErrorFromJson(message["error"]);
    if (!message.value("ready", false)) ThrowUnexpected(line);
    SessionAddress address;
    address.pid = message.at("pid").get<pid_t>();
    address.view =
        message.at("view") == ToString(ViewKind::kOverlay) ? ViewKind::kOverlay : ViewKind::kDirect;
    address.control = message.at("control").get<std::string>();
    return address;
  } catch (const json::exception&) {
    ThrowUnexpected(line);
  }
}

}  // namespace firn
