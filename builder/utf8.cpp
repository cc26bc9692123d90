#include "builder/utf8.h"

#include <cstdint>

namespace firn {
namespace {

unsigned char At(std::string_view text, size_t index) {
  return static_cast<unsigned char>(text[index]);
}

// Length of the printable character at the start; 0 where there is none.
size_t CharacterLength(std::string_view text) {
  const unsigned char lead = At(text, 0);
  if (lead < 0x80) return lead >= 0x20 && lead != 0x7F ? 1 : 0;
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  uint32_t code = lead & (0xFFu >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((At(text, i) & 0xC0) != 0x80) return 0;
    code = code << 6 | (At(text, i) & 0x3F);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool is_surrogate = code >= 0xD800 && code <= 0xDFFF;
  const bool is_c1_control = code < 0xA0;
  if (code < kSmallest[length] || code > 0x10FFFF || is_surrogate || is_c1_control) return 0;
  return length;
}

}  // namespace

bool IsPrintableUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = CharacterLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string EscapeForText(std::string_view text) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string escaped;
  while (!text.empty()) {
    const size_t length = CharacterLength(text);
    if (length != 0) {
      escaped += text.substr(0, length);
      text.remove_prefix(length);
      continue;
    }
    escaped += "\\x";
    escaped += kDigits[At(text, 0) >> 4];
    escaped += kDigits[At(text, 0) & 15];
    text.remove_prefix(1);
  }
  return escaped;
}

}  // namespace firn
