#ifndef FIRN_BUILDER_TOML_INPUT_H_
#define FIRN_BUILDER_TOML_INPUT_H_

#include <string>
#include <toml++/toml.h>

namespace firn {

// TOML that others wrote: lock files, those of images too. `path` for messages. Characters that are
// not ASCII come out as question marks: where white space may be, they are undefined behaviour in
// toml++ 3.3, and what Firn reads of locks has none. Throws kInput, with the line, for what is no
// TOML or nested too deep.
toml::table ParseToml(std::string text, const std::string& path);

}  // namespace firn

#endif  // FIRN_BUILDER_TOML_INPUT_H_
