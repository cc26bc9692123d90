#ifndef FIRN_BUILDER_RULES_EXCLUDES_H_
#define FIRN_BUILDER_RULES_EXCLUDES_H_

#include "builder/rules/rule_work.h"

namespace firn {

// Removes what the recipe's globs match, directories with all that is in them, and counts it.
void ApplyExcludes(RuleWork& work);

}  // namespace firn

#endif  // FIRN_BUILDER_RULES_EXCLUDES_H_
