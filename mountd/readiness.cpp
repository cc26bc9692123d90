#include "mountd/readiness.h"

#include <nlohmann/json.hpp>

#include "mountd/json_line.h"

namespace firn {
namespace {

using nlohmann::json;

Error ErrorFrom(const json& carried) {
  Error error(static_cast<ErrorKind>(carried.value("kind", static_cast<int>(ErrorKind::kInternal))),
              carried.at("message").get<std::string>(), carried.value("remedy", std::string()));
  if (carried.contains("path")) error = error.WithPath(carried["path"].get<std::string>());
  if (carried.contains("offset")) error = error.WithOffset(carried["offset"].get<uint64_t>());
  return error;
}

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

std::string FormatFailure(const Error& error) {
  json carried = {{"kind", error.exit_code()}, {"message", error.message()}};
  if (!error.path().empty()) carried["path"] = error.path();
  if (error.offset()) carried["offset"] = *error.offset();
  if (!error.remedy().empty()) carried["remedy"] = error.remedy();
  return JsonLine({{"error", carried}});
}

SessionAddress ParseReadiness(std::string_view line) {
  if (line.empty()) {
    throw Error(ErrorKind::kNoReply, "firnd ended before it was ready",
                "Its log (syslog, or --log-file) may say why; 'firnd --foreground IMAGE DIR' shows "
                "it at once.");
  }
  const json message = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!message.is_object()) ThrowUnexpected(line);
  try {
    if (message.contains("error")) throw ErrorFrom(message["error"]);
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
