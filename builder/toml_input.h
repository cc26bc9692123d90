#ifndef FIRN_BUILDER_TOML_INPUT_H_
#define FIRN_BUILDER_TOML_INPUT_H_

#include <stdexcept>
#include <string>

namespace firn {

// toml++ takes some mistakes of a text for its own.
class TomlAssertion : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

}  // namespace firn

// Then it would end the process, or with NDEBUG take for granted that there is none.
#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_ASSERT(expr) \
  ((expr) ? static_cast<void>(0) : throw firn::TomlAssertion("expected " #expr))
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

namespace firn {

// TOML that others wrote: lock files, those of images too. `path` for messages. Characters that are
// not ASCII come out as question marks: where white space may be, they are undefined behaviour in
// toml++ 3.3, and what Firn reads of locks has none. Throws kInput, with the line, for what is no
// TOML or nested too deep.
toml::table ParseToml(std::string text, const std::string& path);

}  // namespace firn

#endif  // FIRN_BUILDER_TOML_INPUT_H_
