#ifndef FIRN_FORMAT_UTF8_H_
#define FIRN_FORMAT_UTF8_H_

#include <cstddef>
#include <string_view>

namespace firn {

// How many bytes the character at the start of the text takes; 0 where there is none, or what is no
// UTF-8 (RFC 3629).
size_t Utf8LengthAtStart(std::string_view text);

// Length of the part of the text, from its start, that is UTF-8.
size_t Utf8Prefix(std::string_view text);

}  // namespace firn

#endif  // FIRN_FORMAT_UTF8_H_
