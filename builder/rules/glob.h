#ifndef FIRN_BUILDER_RULES_GLOB_H_
#define FIRN_BUILDER_RULES_GLOB_H_

#include <string_view>

namespace firn {

// Does the glob match the whole path? "*" and "?" stand for characters other than a slash, "[a-z]"
// and "[!a-z]" for one of a set; "**" for any characters, and "**/" also for nothing.
bool GlobMatches(std::string_view glob, std::string_view path);

}  // namespace firn

#endif  // FIRN_BUILDER_RULES_GLOB_H_
