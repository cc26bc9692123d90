#include "builder/toml_input.h"

#include <algorithm>

#include "format/error.h"

namespace firn {
namespace {

// The parser calls itself for each bracket: a file made to exhaust the stack is none.
bool HasTooManyBrackets(const std::string& text) {
  constexpr int kMaxBrackets = 500;
  int depth = 0;
  for (const char c : text) {
    if (c == '[' || c == '{') ++depth;
    if ((c == ']' || c == '}') && depth > 0) --depth;
    if (depth > kMaxBrackets) return true;
  }
  return false;
}

}  // namespace

toml::table ParseToml(std::string text, const std::string& path) {
  if (HasTooManyBrackets(text)) {
    throw Error(ErrorKind::kInput, "expected TOML, found brackets without end").WithPath(path);
  }
  std::ranges::replace_if(
      text, [](char c) { return (c & 0x80) != 0; }, '?');
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    throw Error(ErrorKind::kInput, "line " + std::to_string(error.source().begin.line) +
                                       " is not TOML: " + std::string(error.description()))
        .WithPath(path);
  }
}

}  // namespace firn
