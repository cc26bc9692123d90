#include "mountd/config_reader.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <charconv>
#include <string_view>
#include <system_error>

namespace firn {
namespace {

// user:role:type, or with a level behind: letters that neither the kernel's nor a shell's quoting
// knows.
bool IsSelinuxContext(const std::string& text) {
  const auto is_allowed = [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view("_.-:,").find(static_cast<char>(c)) != std::string_view::npos;
  };
  if (!std::all_of(text.begin(), text.end(), is_allowed)) return false;
  size_t start = 0;
  for (int part = 0; part < 3; ++part) {
    const size_t end = std::min(text.find(':', start), text.size());
    if (end == start) return false;
    if (end == text.size()) return part == 2;
    start = end + 1;
  }
  return start < text.size();
}

}  // namespace

std::optional<uint64_t> ConfigReader::SizeIn(const Value& value, uint64_t least, uint64_t most) {
  const std::string expected = "expected a size from " + std::to_string(least) + " to " +
                               std::to_string(most) + " bytes, such as 67108864, 64M or 64MiB";
  std::optional<std::string> text = ScalarIn(value, expected);
  if (!text) return std::nullopt;
  uint64_t number = 0;
  try {
    CLI::AsSizeValue(/*kb_is_1000=*/false)(*text);  // replaces the text by the number of bytes
    const char* const text_end = text->data() + text->size();
    const auto [end, error] = std::from_chars(text->data(), text_end, number);
    const bool is_number = error == std::errc() && end == text_end;
    if (is_number && number >= least && number <= most) return number;
  } catch (const CLI::ValidationError&) {  // no size: told below, with where it stands
  }
  AddMistake(value, expected + ", found " + Described(value));
  return std::nullopt;
}

void ConfigReader::ReadSelinuxContext(const Value& value, std::string& target) {
  ReadText(value, "expected a context such as system_u:object_r:usr_t:s0", IsSelinuxContext,
           target);
}

void ConfigReader::ThrowMistakes() const {
  YamlTableReader::ThrowMistakes("the configuration", "firnd.yaml(5) has every key.");
}

}  // namespace firn
