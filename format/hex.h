#ifndef FIRN_FORMAT_HEX_H_
#define FIRN_FORMAT_HEX_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/types.h"

namespace firn {

// Two lower-case hexadecimal digits a byte.
std::string ToHex(ByteSpan bytes);
// nullopt for anything but whole bytes, written as ToHex() does.
std::optional<std::vector<std::byte>> FromHex(std::string_view text);

}  // namespace firn

#endif  // FIRN_FORMAT_HEX_H_
