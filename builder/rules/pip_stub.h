#ifndef FIRN_BUILDER_RULES_PIP_STUB_H_
#define FIRN_BUILDER_RULES_PIP_STUB_H_

#include <string>
#include <string_view>
#include <vector>

#include "builder/rules/rule_work.h"

namespace firn {

// Programs named pip for environments without one. Without them a job that says `pip install` gets
// the next pip of its PATH, which changes what that one belongs to: the caller's venv, as an
// example.

// Puts bin/pip, bin/pip3 and bin/pipX.Y that print `message` and fail into a tree whose bin/ has
// neither pip nor pip3. `library`: "lib/pythonX.Y".
void PutPipStubs(RuleWork& work, const std::string& library,
                 const std::vector<std::string>& message);

// Whether that is the content of such a program.
bool IsPipStub(std::string_view content);

}  // namespace firn

#endif  // FIRN_BUILDER_RULES_PIP_STUB_H_
