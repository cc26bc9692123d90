#ifndef FIRN_BUILDER_RULES_MARKERS_H_
#define FIRN_BUILDER_RULES_MARKERS_H_

#include "builder/rules/rule_work.h"

namespace firn {

// Tells installers not to change the image, with a message that names it and how it is made again:
// EXTERNALLY-MANAGED (PEP 668) in every standard library of Python, conda-meta/frozen (CEP 22), and
// a pip that only says so where there is none.
void PutMarkers(RuleWork& work);

}  // namespace firn

#endif  // FIRN_BUILDER_RULES_MARKERS_H_
