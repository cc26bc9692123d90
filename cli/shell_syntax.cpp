#include "cli/shell_syntax.h"

namespace firn {
namespace {

// As one word, in single quotes.
std::string Quote(std::string_view text, ShellKind kind) {
  std::string quoted = "'";
  for (const char c : text) {
    if (kind == ShellKind::kFish) {
      if (c == '\'' || c == '\\') quoted += '\\';
      quoted += c;
    } else if (c == '\'') {
      quoted += "'\\''";
    } else {
      // csh takes these for its own in quotes too: the history, and the end of the command.
      if (kind == ShellKind::kCsh && (c == '!' || c == '\n')) quoted += '\\';
      quoted += c;
    }
  }
  return quoted + "'";
}

}  // namespace

std::optional<ShellKind> ShellKindOf(std::string_view shell) {
  const size_t slash = shell.rfind('/');
  if (slash != std::string_view::npos) shell.remove_prefix(slash + 1);
  for (const char* name : {"sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"}) {
    if (shell == name) return ShellKind::kPosix;
  }
  if (shell == "fish") return ShellKind::kFish;
  if (shell == "csh" || shell == "tcsh") return ShellKind::kCsh;
  return std::nullopt;
}

std::string ShellCommand(const VariableChange& change, ShellKind kind) {
  const auto& [name, value] = change;
  switch (kind) {
    case ShellKind::kFish:
      return value ? "set -gx " + name + " " + Quote(*value, kind) + ";\n"
                   : "set -e " + name + ";\n";
    case ShellKind::kCsh:
      return value ? "setenv " + name + " " + Quote(*value, kind) + ";\n"
                   : "unsetenv " + name + ";\n";
    case ShellKind::kPosix:
      break;
  }
  return value ? "export " + name + "=" + Quote(*value, kind) + ";\n" : "unset " + name + ";\n";
}

}  // namespace firn
