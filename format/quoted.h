#ifndef FIRN_FORMAT_QUOTED_H_
#define FIRN_FORMAT_QUOTED_H_

#include <string>
#include <string_view>

namespace firn {

// A name that an image's maker chose, for messages: quoted, with control characters as \xNN.
std::string Quoted(std::string_view name);

}  // namespace firn

#endif  // FIRN_FORMAT_QUOTED_H_
