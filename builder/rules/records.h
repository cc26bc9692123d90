#ifndef FIRN_BUILDER_RULES_RECORDS_H_
#define FIRN_BUILDER_RULES_RECORDS_H_

#include "builder/rules/rule_work.h"

namespace firn {

// What packages' RECORD files say of files that rules changed or removed is made right.
void CorrectRecords(RuleWork& work);

}  // namespace firn

#endif  // FIRN_BUILDER_RULES_RECORDS_H_
