#ifndef FIRN_BUILDER_RULES_STRIP_H_
#define FIRN_BUILDER_RULES_STRIP_H_

#include "builder/rules/rule_work.h"

namespace firn {

// Drops the symbols that nothing needs at run time from ELF programs and libraries, with binutils'
// strip. A file that it cannot work on, or that would not be sound afterwards, stays as it is and
// is named. Throws kSystem where there is no strip.
void StripSymbols(RuleWork& work);

}  // namespace firn

#endif  // FIRN_BUILDER_RULES_STRIP_H_
