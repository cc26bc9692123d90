#ifndef FIRN_BUILDER_RULES_SCRIPTS_H_
#define FIRN_BUILDER_RULES_SCRIPTS_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "builder/rules/rule_work.h"

namespace firn {

// The script, that `#!` has run by an interpreter of one of the directories `bins`, with a preamble
// for /bin/sh that takes the interpreter of that name beside the script. nullopt where it names
// another interpreter, or is in no language in which sh's lines can stand.
std::optional<std::string> WithFindingPreamble(std::string_view script,
                                               const std::vector<std::string>& bins);

// The path of the interpreter that the script names, also behind the preambles that installers
// write for long paths; empty for none.
std::string InterpreterOf(std::string_view script);

// Gives every such program of bin/ that preamble; `places`: where the tree is or was (absolute).
// Those that stay bound to the prefix are reported.
void FreeScripts(RuleWork& work, const std::vector<std::string>& places);

}  // namespace firn

#endif  // FIRN_BUILDER_RULES_SCRIPTS_H_
