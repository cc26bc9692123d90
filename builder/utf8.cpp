#include "builder/utf8.h"

#include "format/utf8.h"

namespace firn {
namespace {

unsigned char At(std::string_view text, size_t index) {
  return static_cast<unsigned char>(text[index]);
}

// Length of the printable character at the start; 0 where there is none.
size_t CharacterLength(std::string_view text) {
  const size_t length = Utf8LengthAtStart(text);
  if (length == 0) return 0;
  const unsigned char lead = At(text, 0);
  const bool is_control = lead < 0x20 || lead == 0x7F || (lead == 0xC2 && At(text, 1) < 0xA0);
  return is_control ? 0 : length;
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
