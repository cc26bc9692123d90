#ifndef FIRN_BUILDER_RULES_LEFTOVERS_H_
#define FIRN_BUILDER_RULES_LEFTOVERS_H_

#include <string>
#include <vector>

#include "builder/rules/rule_work.h"

namespace firn {

// Reports the files that still name a place where the environment was, its base Python's prefix or
// a directory that installers build in, and those that only work at the prefix, as they name it.
// With `strict` throws kInput where there are any of the first.
void ReportLeftovers(RuleWork& work, const std::vector<std::string>& places);

// Would the file, that names the prefix, do anything else elsewhere? What only says how something
// was built or installed, or what is read only to build something else, would not.
bool IsBoundByPrefix(const std::string& path);

}  // namespace firn

#endif  // FIRN_BUILDER_RULES_LEFTOVERS_H_
