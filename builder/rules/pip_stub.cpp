#include "builder/rules/pip_stub.h"

namespace firn {
namespace {

constexpr std::string_view kStubStart =
    "#!/bin/sh\n"
    "# Stands for the pip that this environment does not have: put here by firn build.\n";

// As one word for a shell.
std::string ShellWord(std::string_view text) {
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? "'\\''" : std::string(1, c);
  return word + "'";
}

std::string PipStub(const std::vector<std::string>& message) {
  std::string text = std::string(kStubStart) + "printf '%s\\n' 'error: no pip is in this image'";
  for (const std::string& line : message) text += " \\\n  " + ShellWord(line);
  return text + " >&2\nexit 1\n";
}

// There, and no stub of a base, which the layer's takes the place of.
bool HasProgram(const RuleWork& work, const std::string& path) {
  if (!work.TypeOf(path)) return false;
  const std::optional<std::string> content = work.Read(path);
  return !content || !IsPipStub(*content);
}

}  // namespace

void PutPipStubs(RuleWork& work, const std::string& library,
                 const std::vector<std::string>& message) {
  // A link to a directory may lead out of the tree.
  if (work.TypeOf("bin") != TreeEntry::Type::kDirectory) return;
  if (HasProgram(work, "bin/pip") || HasProgram(work, "bin/pip3")) return;
  const std::string version = NameOf(library).substr(std::string_view("python").size());
  for (const std::string& name : {std::string("pip"), std::string("pip3"), "pip" + version}) {
    const std::string path = "bin/" + name;
    if (!HasProgram(work, path)) work.Write(path, PipStub(message), /*executable=*/true);
  }
}

bool IsPipStub(std::string_view content) { return content.starts_with(kStubStart); }

}  // namespace firn
