#include "mountd/carried_error.h"

#include <nlohmann/json.hpp>
#include <string>

namespace firn {

using nlohmann::json;

json ErrorToJson(const Error& error) {
  json carried = {{"kind", error.exit_code()}, {"message", error.message()}};
  if (!error.path().empty()) carried["path"] = error.path();
  if (error.offset()) carried["offset"] = *error.offset();
  if (!error.remedy().empty()) carried["remedy"] = error.remedy();
  return carried;
}

Error ErrorFromJson(const json& carried) {
  Error error(static_cast<ErrorKind>(carried.value("kind", static_cast<int>(ErrorKind::kInternal))),
              carried.at("message").get<std::string>(), carried.value("remedy", std::string()));
  if (carried.contains("path")) error = error.WithPath(carried["path"].get<std::string>());
  if (carried.contains("offset")) error = error.WithOffset(carried["offset"].get<uint64_t>());
  return error;
}

}  // namespace firn
