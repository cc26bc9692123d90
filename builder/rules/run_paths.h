#ifndef FIRN_BUILDER_RULES_RUN_PATHS_H_
#define FIRN_BUILDER_RULES_RUN_PATHS_H_

#include <string>
#include <vector>

#include "builder/rules/rule_work.h"

namespace firn {

// Where programs and libraries of the tree look for libraries in one of the directories `places`
// (absolute; the tree is or was there), they are made to look relative to themselves. What cannot
// be changed, as no room is there, is reported as bound to the prefix.
void MakeRunPathsRelative(RuleWork& work, const std::vector<std::string>& places);

}  // namespace firn

#endif  // FIRN_BUILDER_RULES_RUN_PATHS_H_
