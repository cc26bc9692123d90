#include "format/utf8.h"

#include <cstdint>

namespace firn {

size_t Utf8LengthAtStart(std::string_view text) {
  if (text.empty()) return 0;
  const auto byte = [&](size_t index) { return static_cast<unsigned char>(text[index]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  uint32_t code = lead & (0xFFu >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3F);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool is_surrogate = code >= 0xD800 && code <= 0xDFFF;
  return code < kSmallest[length] || code > 0x10FFFF || is_surrogate ? 0 : length;
}

size_t Utf8Prefix(std::string_view text) {
  size_t at = 0;
  while (const size_t length = Utf8LengthAtStart(text.substr(at))) at += length;
  return at;
}

}  // namespace firn
