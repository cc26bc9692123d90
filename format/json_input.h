#ifndef FIRN_FORMAT_JSON_INPUT_H_
#define FIRN_FORMAT_JSON_INPUT_H_

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>

// JSON that others wrote: of an image, of a client, of a process that reads images.
namespace firn {

// Parsing takes no stack, but copying and printing a value calls itself for each level of it.
inline constexpr size_t kMaxJsonDepth = 64;

// Do arrays and objects of the text stand in each other more than `levels` deep? True for some
// texts that are no JSON too, false for none that a parser takes and that do.
bool NestsDeeperThan(std::string_view json, size_t levels);

// What nlohmann-json makes of the text: discarded where it is no JSON, or nested deeper than
// kMaxJsonDepth.
template <typename Json = nlohmann::json>
Json ParseJson(std::string_view text) {
  if (NestsDeeperThan(text, kMaxJsonDepth)) return Json(nlohmann::json::value_t::discarded);
  return Json::parse(text, nullptr, /*allow_exceptions=*/false);
}

// The same for what processes say to each other, where every number is an integer: another one
// becomes null, as reading it as an integer is undefined where it is none.
nlohmann::json ParseJsonMessage(std::string_view text);

}  // namespace firn

#endif  // FIRN_FORMAT_JSON_INPUT_H_
