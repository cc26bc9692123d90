#ifndef FIRN_BUILDER_INSPECT_JSON_TEXT_H_
#define FIRN_BUILDER_INSPECT_JSON_TEXT_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

// JSON that others wrote, read so that no shape of it is a surprise: what is absent or of another
// type is empty.
namespace firn {

std::string TextAt(const nlohmann::ordered_json& json, const char* key);
bool FlagAt(const nlohmann::ordered_json& json, const char* key);
uint64_t NumberAt(const nlohmann::ordered_json& json, const char* key);
// A reference into `json`, or to an empty value that lives for ever.
const nlohmann::ordered_json& ArrayAt(const nlohmann::ordered_json& json, const char* key);
const nlohmann::ordered_json& ObjectAt(const nlohmann::ordered_json& json, const char* key);
// The strings of an array.
std::vector<std::string> TextsAt(const nlohmann::ordered_json& json, const char* key);

// As sections hold it: indented by one, bytes that are not UTF-8 replaced, a line feed at the end.
std::string JsonText(const nlohmann::ordered_json& json);

// The content of an image's section. Throws kDamaged where it is no JSON object of format 1.
nlohmann::ordered_json ParseSectionJson(std::string_view text, std::string_view section);

}  // namespace firn

#endif  // FIRN_BUILDER_INSPECT_JSON_TEXT_H_
