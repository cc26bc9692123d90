#ifndef FIRN_BUILDER_RULES_FLATTEN_H_
#define FIRN_BUILDER_RULES_FLATTEN_H_

#include "builder/rules/rule_work.h"

namespace firn {

// Makes a venv a prefix of its own: the interpreter, its standard library, its shared libraries and
// headers are copied into it, and pyvenv.cfg goes. Nothing to do where the tree is no venv. Throws
// kInput where its base Python is gone, or none that this is known to work with.
void FlattenVenv(RuleWork& work);

}  // namespace firn

#endif  // FIRN_BUILDER_RULES_FLATTEN_H_
