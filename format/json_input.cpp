#include "format/json_input.h"

namespace firn {

bool NestsDeeperThan(std::string_view json, size_t levels) {
  size_t depth = 0;
  bool in_text = false;
  for (size_t at = 0; at < json.size(); ++at) {
    const char c = json[at];
    if (c == '"') {
      in_text = !in_text;
    } else if (in_text) {
      if (c == '\\') ++at;
    } else if (c == '[' || c == '{') {
      if (++depth > levels) return true;
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return false;
}

nlohmann::json ParseJsonMessage(std::string_view text) {
  using nlohmann::json;
  if (NestsDeeperThan(text, kMaxJsonDepth)) return json(json::value_t::discarded);
  const auto without_fractions = [](int, json::parse_event_t, json& parsed) {
    if (parsed.is_number_float()) parsed = nullptr;
    return true;
  };
  return json::parse(text, without_fractions, /*allow_exceptions=*/false);
}

}  // namespace firn
