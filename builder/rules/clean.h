#ifndef FIRN_BUILDER_RULES_CLEAN_H_
#define FIRN_BUILDER_RULES_CLEAN_H_

#include <string>
#include <vector>

#include "builder/rules/rule_work.h"

namespace firn {

// Removes what is of no use in an image (caches, compiled modules without a source) and makes
// neutral what differs from build to build; docs/normalisation.md lists it all. `places`: where the
// tree is or was (absolute).
void CleanTree(RuleWork& work, const std::vector<std::string>& places);

}  // namespace firn

#endif  // FIRN_BUILDER_RULES_CLEAN_H_
