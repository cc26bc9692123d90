#ifndef FIRN_BUILDER_RULES_RELOCATE_H_
#define FIRN_BUILDER_RULES_RELOCATE_H_

#include <string>
#include <vector>

#include "builder/rules/rule_work.h"

namespace firn {

// Absolute paths at which the environment was or is: the original's, the one that its activation
// names (it may have been renamed since), the tree's. None twice.
std::vector<std::string> PlacesOfTree(const RuleWork& work);

// Whatever names another of `places` than the prefix names the prefix: texts, strings of binaries
// that conda packages declare, symlinks; an archive of conda-pack is unpacked by its own program.
// Throws kInput where a binary has no room for the prefix.
void Relocate(RuleWork& work, const std::vector<std::string>& places);

}  // namespace firn

#endif  // FIRN_BUILDER_RULES_RELOCATE_H_
