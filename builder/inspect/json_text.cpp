#include "builder/inspect/json_text.h"

#include "format/error.h"
#include "format/json_input.h"

namespace firn {
namespace {

using Json = nlohmann::ordered_json;

const Json* Member(const Json& json, const char* key) {
  if (!json.is_object()) return nullptr;
  const auto found = json.find(key);
  return found == json.end() ? nullptr : &*found;
}

}  // namespace

std::string TextAt(const Json& json, const char* key) {
  const Json* member = Member(json, key);
  return member != nullptr && member->is_string() ? member->get<std::string>() : std::string();
}

bool FlagAt(const Json& json, const char* key) {
  const Json* member = Member(json, key);
  return member != nullptr && member->is_boolean() && member->get<bool>();
}

uint64_t NumberAt(const Json& json, const char* key) {
  const Json* member = Member(json, key);
  return member != nullptr && member->is_number_unsigned() ? member->get<uint64_t>() : 0;
}

const Json& ArrayAt(const Json& json, const char* key) {
  static const Json none = Json::array();
  const Json* member = Member(json, key);
  return member != nullptr && member->is_array() ? *member : none;
}

const Json& ObjectAt(const Json& json, const char* key) {
  static const Json none = Json::object();
  const Json* member = Member(json, key);
  return member != nullptr && member->is_object() ? *member : none;
}

std::vector<std::string> TextsAt(const Json& json, const char* key) {
  std::vector<std::string> texts;
  for (const Json& text : ArrayAt(json, key)) {
    if (text.is_string()) texts.push_back(text.get<std::string>());
  }
  return texts;
}

std::string JsonText(const Json& json) {
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json ParseSectionJson(std::string_view text, std::string_view section) {
  Json json = ParseJson<Json>(text);
  if (!json.is_object()) {
    throw DamagedError("section " + std::string(section) + ": expected a JSON object of at most " +
                       std::to_string(kMaxJsonDepth) + " levels");
  }
  if (NumberAt(json, "format") != 1) {
    throw Error(ErrorKind::kUnsupported,
                "section " + std::string(section) + " is of a format other than 1",
                "Read it with the Firn that wrote it, or a newer one.");
  }
  return json;
}

}  // namespace firn
