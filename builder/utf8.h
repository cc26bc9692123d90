#ifndef FIRN_BUILDER_UTF8_H_
#define FIRN_BUILDER_UTF8_H_

#include <string>
#include <string_view>

namespace firn {

// Valid UTF-8 without control characters?
bool IsPrintableUtf8(std::string_view text);

// The text with every control character and every byte that is not UTF-8 as "\xNN": for messages
// and for the manifest, where names of files may hold any byte.
std::string EscapeForText(std::string_view text);

}  // namespace firn

#endif  // FIRN_BUILDER_UTF8_H_
