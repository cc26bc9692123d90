#ifndef FIRN_CLI_SHELL_SYNTAX_H_
#define FIRN_CLI_SHELL_SYNTAX_H_

#include <optional>
#include <string>
#include <string_view>

#include "cli/job_environment.h"

namespace firn {

enum class ShellKind {
  kPosix,  // sh, dash, bash, ksh, zsh
  kFish,
  kCsh,  // csh, tcsh
};

// By a shell's name or path; nothing for one that is not known.
std::optional<ShellKind> ShellKindOf(std::string_view shell);

// One command, with its end, that makes the change in that shell. The value arrives there as it
// is, whatever bytes it has.
std::string ShellCommand(const VariableChange& change, ShellKind kind);

}  // namespace firn

#endif  // FIRN_CLI_SHELL_SYNTAX_H_
