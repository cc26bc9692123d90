#ifndef FIRN_CLI_TEXT_H_
#define FIRN_CLI_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace firn {

// `text` on one line and without effect on a terminal: control characters, and bytes that are not
// UTF-8, as \xNN. What an image says of itself is not to be trusted.
std::string Printable(std::string_view text);

// The same, with line feeds and tabs left as they are.
std::string PrintableLines(std::string_view text);

// "1,234,567".
std::string Grouped(uint64_t number);

// "2024-05-01T12:00:00Z"; the plain number for a time that has no such form.
std::string FormatUtc(int64_t seconds_since_1970);

// "5s", "12m", "3h", "8d".
std::string FormatAge(int64_t seconds);

}  // namespace firn

#endif  // FIRN_CLI_TEXT_H_
