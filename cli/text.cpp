#include "cli/text.h"

#include <array>
#include <cstdio>
#include <ctime>

namespace firn {
namespace {

unsigned char ByteAt(std::string_view text, size_t at) {
  return static_cast<unsigned char>(text[at]);
}

// Length of the UTF-8 sequence at `at`, 0 where there is none that is whole and shortest.
size_t SequenceLength(std::string_view text, size_t at) {
  const unsigned char first = ByteAt(text, at);
  size_t length = 0;
  uint32_t code = 0;
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) {
    length = 2;
    code = first & 0x1fu;
  } else if (first >= 0xe0 && first < 0xf0) {
    length = 3;
    code = first & 0x0fu;
  } else if (first >= 0xf0 && first < 0xf5) {
    length = 4;
    code = first & 0x07u;
  }
  if (length == 0 || at + length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    const unsigned char next = ByteAt(text, at + i);
    if ((next & 0xc0u) != 0x80) return 0;
    code = code << 6 | (next & 0x3fu);
  }
  constexpr std::array<uint32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code < 0xe000;
  const bool control = code < 0xa0;  // C1, which some terminals obey
  return code < kSmallest.at(length) || code > 0x10ffff || surrogate || control ? 0 : length;
}

std::string Escape(std::string_view text, bool keep_lines) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    const unsigned char byte = ByteAt(text, at);
    const bool kept = keep_lines && (byte == '\n' || byte == '\t');
    const size_t length = (byte < 0x20 || byte == 0x7f) && !kept ? 0 : SequenceLength(text, at);
    if (length == 0) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
      result += escaped;
      ++at;
    } else {
      result += text.substr(at, length);
      at += length;
    }
  }
  return result;
}

}  // namespace

std::string Printable(std::string_view text) { return Escape(text, /*keep_lines=*/false); }

std::string PrintableLines(std::string_view text) { return Escape(text, /*keep_lines=*/true); }

std::string Grouped(uint64_t number) {
  std::string digits = std::to_string(number);
  for (size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return digits;
}

std::string FormatUtc(int64_t seconds_since_1970) {
  const time_t time = seconds_since_1970;
  struct tm parts {};
  char text[64];
  if (gmtime_r(&time, &parts) == nullptr ||
      strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
    return std::to_string(seconds_since_1970);
  }
  return text;
}

std::string FormatAge(int64_t seconds) {
  struct Unit {
    int64_t seconds;
    const char* name;
  };
  for (const Unit unit : {Unit{86400, "d"}, Unit{3600, "h"}, Unit{60, "m"}}) {
    if (seconds >= unit.seconds) return std::to_string(seconds / unit.seconds) + unit.name;
  }
  return std::to_string(seconds) + "s";
}

}  // namespace firn
