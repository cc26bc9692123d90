#ifndef FIRN_BUILDER_RULES_CLEAN_H_
#define FIRN_BUILDER_RULES_CLEAN_H_

#include "builder/rules/rule_work.h"

namespace firn {

// Removes what is of no use in an image (caches, compiled modules without a source) and makes
// neutral what differs from build to build; docs/normalisation.md lists it all.
void CleanTree(RuleWork& work);

}  // namespace firn

#endif  // FIRN_BUILDER_RULES_CLEAN_H_
