#ifndef FIRN_CLI_SUGGEST_H_
#define FIRN_CLI_SUGGEST_H_

#include <string>
#include <string_view>
#include <vector>

namespace firn {

// The one of `names` that `typed` was probably meant to be: the nearest in edits (insertions,
// deletions, replacements, swaps of neighbours), or the only one that starts with it. Empty where
// nothing is near enough to be offered.
std::string Suggest(std::string_view typed, const std::vector<std::string>& names);

}  // namespace firn

#endif  // FIRN_CLI_SUGGEST_H_
