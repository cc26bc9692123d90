#include "builder/rules/scripts.h"

#include <algorithm>
#include <array>
#include <utility>

#include "builder/rules/path_text.h"

namespace firn {
namespace {

constexpr char kBeside[] = "\"$(dirname -- \"$(realpath -- \"$0\")\")\"";

std::string_view FirstLine(std::string_view text) { return text.substr(0, text.find('\n')); }

std::string_view AfterFirstLine(std::string_view text) {
  const size_t end = text.find('\n');
  return end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
}

std::string_view Trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

// What a script says of how it is run, and what comes after that.
struct Head {
  std::string interpreter;
  std::string options;
  std::string_view body;
};

// "#!/long/path/python" as pip and conda write it for long paths or such with spaces:
//   #!/bin/sh
//   '''exec' "/long/path/python" "$0" "$@"
//   ' '''
std::optional<Head> ReadLongHead(std::string_view script) {
  constexpr std::string_view kExec = "'''exec' ";
  const std::string_view rest = AfterFirstLine(script);
  std::string_view line = Trimmed(FirstLine(rest));
  const std::string_view after = AfterFirstLine(rest);
  if (Trimmed(FirstLine(script)) != "#!/bin/sh" || !line.starts_with(kExec)) return std::nullopt;
  if (!Trimmed(FirstLine(after)).starts_with("' '''")) return std::nullopt;
  line = Trimmed(line.substr(kExec.size()));
  const bool quoted = line.starts_with('"');
  const size_t end = quoted ? line.find('"', 1) : line.find(' ');
  if (end == std::string_view::npos) return std::nullopt;
  Head head;
  head.interpreter = line.substr(quoted ? 1 : 0, end - (quoted ? 1 : 0));
  const std::string_view words = line.substr(end + (quoted ? 1 : 0));
  head.options = Trimmed(words.substr(0, std::min(words.find("\"$0\""), words.size())));
  head.body = AfterFirstLine(after);
  return head;
}

std::optional<Head> ReadHead(std::string_view script) {
  if (!script.starts_with("#!")) return std::nullopt;
  if (std::optional<Head> head = ReadLongHead(script)) return head;
  const std::string_view line = Trimmed(FirstLine(script).substr(2));
  const size_t end = std::min(line.find_first_of(" \t"), line.size());
  return Head{.interpreter = std::string(line.substr(0, end)),
              .options = std::string(Trimmed(line.substr(end))),
              .body = AfterFirstLine(script)};
}

// Single quotes for sh.
std::string Quoted(const std::string& text) { return "'" + text + "'"; }

bool IsPlainName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-' || c == '+';
  });
}

bool IsPlainOptions(std::string_view options) {
  return std::all_of(options.begin(), options.end(), [](char c) {
    return IsPlainName(std::string_view(&c, 1)) || c == ' ' || c == '=' || c == ':' || c == ',';
  });
}

// A comment that says how the file is encoded must be in its first two lines; of UTF-8 none is
// needed.
std::string_view EncodingLine(std::string_view body) {
  const std::string_view line = FirstLine(body);
  if (!Trimmed(line).starts_with('#')) return {};
  const size_t word = line.find("coding");
  if (word == std::string_view::npos || word + 6 >= line.size()) return {};
  if (line.find("utf-8") != std::string_view::npos) return {};
  return line[word + 6] == ':' || line[word + 6] == '=' ? line : std::string_view();
}

// The preamble is a string, which may stand before "from __future__", but only alone.
bool HasDocumentationAndFuture(std::string_view body) {
  if (body.find("from __future__") == std::string_view::npos) return false;
  while (!body.empty()) {
    const std::string_view line = Trimmed(FirstLine(body));
    if (!line.empty() && !line.starts_with('#')) {
      const size_t quote = line.find_first_of("'\"");
      return quote != std::string_view::npos && quote <= 2;
    }
    body = AfterFirstLine(body);
  }
  return false;
}

std::optional<std::string> PythonPreamble(const std::string& name, const Head& head) {
  if (HasDocumentationAndFuture(head.body)) return std::nullopt;
  std::string text = "#!/bin/sh\n";
  if (const std::string_view encoding = EncodingLine(head.body); !encoding.empty()) {
    text += std::string(encoding) + "\n";
  }
  const std::string options = head.options.empty() ? "" : " " + head.options;
  return text + "'''exec' " + kBeside + "/" + Quoted(name) + options + " \"$0\" \"$@\"\n' '''\n" +
         std::string(head.body);
}

// With -x, which these know, everything before "#!NAME" is no part of the script.
std::optional<std::string> EmbeddedPreamble(const std::string& name, const Head& head) {
  const std::string options = head.options.empty() ? "" : " " + head.options;
  const std::string language = name.starts_with("perl") ? "perl" : "ruby";
  return "#!/bin/sh\nexec " + std::string(kBeside) + "/" + Quoted(name) +
         " -x -- \"$0\" \"$@\"\n#!" + language + options + "\n" + std::string(head.body);
}

std::optional<std::string> ShellPreamble(const std::string& name, const Head& head) {
  const std::string shell = std::string(kBeside) + "/" + Quoted(name);
  const std::string options = head.options.empty() ? "" : " " + head.options;
  return "#!/bin/sh\n[ \"${FIRN_SHELL-}\" = \"$$\" ] || FIRN_SHELL=$$ exec " + shell + options +
         " \"$0\" \"$@\"\nunset FIRN_SHELL\n" + std::string(head.body);
}

std::optional<std::string> NodePreamble(const std::string& name, const Head& head) {
  const std::string options = head.options.empty() ? "" : " " + head.options;
  return "#!/bin/sh\n':' //; exec " + std::string(kBeside) + "/" + Quoted(name) + options +
         " \"$0\" \"$@\"\n" + std::string(head.body);
}

// A comment of Tcl goes on after a backslash, one of sh does not.
std::optional<std::string> TclPreamble(const std::string& name, const Head& head) {
  return "#!/bin/sh\n# sh runs the next line, which is a comment in Tcl \\\nexec " +
         std::string(kBeside) + "/" + Quoted(name) + " \"$0\" \"$@\"\n" + std::string(head.body);
}

using Preamble = std::optional<std::string> (*)(const std::string&, const Head&);

// By what the interpreter's name begins with.
constexpr std::array<std::pair<std::string_view, Preamble>, 10> kLanguages{{
    {"python", PythonPreamble},
    {"pypy", PythonPreamble},
    {"perl", EmbeddedPreamble},
    {"ruby", EmbeddedPreamble},
    {"bash", ShellPreamble},
    {"dash", ShellPreamble},
    {"zsh", ShellPreamble},
    {"node", NodePreamble},
    {"tclsh", TclPreamble},
    {"wish", TclPreamble},
}};

bool IsIn(const std::string& path, const std::vector<std::string>& directories) {
  return std::find(directories.begin(), directories.end(), ParentOf(path)) != directories.end();
}

}  // namespace

std::optional<std::string> WithFindingPreamble(std::string_view script,
                                               const std::vector<std::string>& bins) {
  const std::optional<Head> head = ReadHead(script);
  if (!head || !IsIn(head->interpreter, bins)) return std::nullopt;
  const std::string name = NameOf(head->interpreter);
  if (!IsPlainName(name) || !IsPlainOptions(head->options)) return std::nullopt;
  for (const auto& [language, preamble] : kLanguages) {
    if (name.starts_with(language)) return preamble(name, *head);
  }
  return std::nullopt;
}

std::string InterpreterOf(std::string_view script) {
  const std::optional<Head> head = ReadHead(script);
  return head ? head->interpreter : std::string();
}

void FreeScripts(RuleWork& work, const std::vector<std::string>& places) {
  std::vector<std::string> bins;
  for (const std::string& place : places) bins.push_back(place + "/bin");
  const std::vector<TreeEntry> programs = work.Files(
      [](const TreeEntry& file) { return file.executable && ParentOf(file.path) == "bin"; });
  for (const TreeEntry& program : programs) {
    const std::optional<std::string> content = work.Read(program.path);
    if (!content || !content->starts_with("#!")) continue;
    if (const auto made = WithFindingPreamble(*content, bins)) {
      work.Write(program.path, *made);
      ++work.report.scripts;
    }
  }
}

}  // namespace firn
