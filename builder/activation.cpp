#include "builder/activation.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "builder/child_process.h"
#include "builder/temporary_directory.h"
#include "format/error.h"
#include "format/json_input.h"

namespace firn {
namespace {

using Variables = std::map<std::string, std::string>;

constexpr std::chrono::seconds kScriptsTimeout{60};
constexpr char kMark[] = "/firn-was-here-before";

// What a script changes in it is its own affair, or is set by `firn run`.
const std::set<std::string> kNotRecorded = {"_",
                                            "CONDA_DEFAULT_ENV",
                                            "CONDA_PREFIX",
                                            "CONDA_PROMPT_MODIFIER",
                                            "CONDA_SHLVL",
                                            "PWD",
                                            "FIRN_ACTIVATION",
                                            "HOME",
                                            "OLDPWD",
                                            "PS1",
                                            "SHELL",
                                            "SHLVL",
                                            "TMPDIR"};

// Says on standard output which script begins and how it ended. The environment is written in a
// trap, as a script that ends the shell has set variables too.
constexpr char kShellProgram[] =
    "trap '/usr/bin/env -0 >\"$FIRN_ACTIVATION\"' EXIT\n"
    "for firn_script in \"$@\"; do\n"
    "  set --\n"
    "  echo \"+$firn_script\"\n"
    "  . \"$firn_script\" 1>&2\n"
    "  echo \"=$?\"\n"
    "done\n";

std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> FilesOf(const std::string& directory, std::string_view extension) {
  std::vector<std::string> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (entry.path().extension() == extension) files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

bool IsName(std::string_view name) {
  const auto is_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= '0' && c <= '9');
  };
  return !name.empty() && !(name.front() >= '0' && name.front() <= '9') &&
         std::all_of(name.begin(), name.end(), is_word);
}

// NAME=VALUE, each with a zero byte behind it.
Variables ParseEnvironment(const std::string& text) {
  Variables variables;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\0', at), text.size());
    const std::string entry = text.substr(at, end - at);
    const size_t equals = entry.find('=');
    // The functions that a shell exports have names that no variable has.
    if (equals != std::string::npos && IsName(entry.substr(0, equals))) {
      variables[entry.substr(0, equals)] = entry.substr(equals + 1);
    }
    at = end + 1;
  }
  return variables;
}

void ReplaceAll(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

// "${PREFIX}" for the prefix where that is a whole path or the start of one.
void GeneralisePrefix(std::string& text, const std::string& prefix) {
  const std::string to = "${PREFIX}";
  for (size_t at = text.find(prefix); at != std::string::npos; at = text.find(prefix, at)) {
    const size_t end = at + prefix.size();
    const bool longer =
        end < text.size() && (isalnum(static_cast<unsigned char>(text[end])) != 0 ||
                              std::string_view("._-+").find(text[end]) != std::string_view::npos);
    if (longer) {
      at = end;
    } else {
      text.replace(at, prefix.size(), to);
      at += to.size();
    }
  }
}

class Recorder {
 public:
  Recorder(const std::string& tree, const std::string& prefix, BuildLog& log,
           const std::function<void()>& poll)
      : tree_(tree),
        prefix_(prefix),
        log_(log),
        poll_(poll),
        scripts_(FilesOf(tree + "/etc/conda/activate.d", ".sh")) {}

  Activation Record() {
    const Variables stated = StatedVariables();
    if (scripts_.empty() && stated.empty()) return {};
    Variables first = Base();
    const Variables before = first;
    for (const auto& [name, value] : stated) first[name] = value;
    if (!scripts_.empty()) first = RunScripts(first, true);

    std::vector<std::string> names;
    for (const auto& [name, value] : first) {
      const auto old = before.find(name);
      if (kNotRecorded.contains(name) || (old != before.end() && old->second == value)) continue;
      names.push_back(name);
    }
    Variables second = Base();
    for (const std::string& name : names) second[name] = MarkFor(name);
    for (const auto& [name, value] : stated) second[name] = value;
    if (!scripts_.empty() && !names.empty()) second = RunScripts(second, false);
    for (const std::string& name : names) Take(name, first.at(name), second);
    for (const auto& [name, value] : before) {
      if (!first.contains(name))
        Warn("a script of etc/conda/activate.d unsets " + name + ", which cannot be recorded");
    }
    return std::move(activation_);
  }

 private:
  Variables Base() const {
    return {{"PATH", prefix_ + "/bin:/usr/local/bin:/usr/bin:/bin"},
            {"HOME", work_.path()},
            {"TMPDIR", work_.path()},
            {"LANG", "C.UTF-8"},
            {"SHELL", "/bin/sh"},
            {"FIRN_ACTIVATION", work_.path() + "/environment"},
            {"CONDA_PREFIX", prefix_},
            {"CONDA_DEFAULT_ENV", prefix_},
            {"CONDA_SHLVL", "1"}};
  }

  std::string MarkFor(const std::string& name) const {
    // The programs of a script must still be found.
    return name == "PATH" ? kMark + (":" + Base().at("PATH")) : kMark;
  }

  void Warn(std::string text) {
    log_.Write("firn: warning: " + text);
    activation_.warnings.push_back(std::move(text));
  }

  // conda's own variables of a prefix, those of packages first.
  Variables StatedVariables() {
    Variables stated;
    for (const std::string& file : FilesOf(tree_ + "/etc/conda/env_vars.d", ".json")) {
      AddStated(file, false, stated);
    }
    AddStated(tree_ + "/conda-meta/state", true, stated);
    return stated;
  }

  void AddStated(const std::string& file, bool is_state, Variables& stated) {
    const std::string text = ReadWhole(file);
    if (text.empty()) return;
    nlohmann::json json = ParseJson(text);
    if (is_state && json.is_object()) json = json.value("env_vars", nlohmann::json::object());
    if (!json.is_object()) {
      Warn(file + " is no JSON with variables");
      return;
    }
    for (const auto& [name, value] : json.items()) {
      if (!value.is_string() || !IsName(name) || kNotRecorded.contains(name)) {
        Warn(file + ": what it sets is no variable");
      } else if (value.get<std::string>() != "***unset***") {
        stated[name] = value.get<std::string>();
      }
    }
  }

  // Runs the scripts with that environment; returns what it is then.
  Variables RunScripts(const Variables& variables, bool report) {
    std::vector<std::string> environment;
    for (const auto& [name, value] : variables) environment.push_back(name + "=" + value);
    const bool has_bash = access("/bin/bash", X_OK) == 0;
    std::vector<std::string> arguments = {has_bash ? "/bin/bash" : "/bin/sh", "-c", kShellProgram,
                                          "firn-activate"};
    arguments.insert(arguments.end(), scripts_.begin(), scripts_.end());
    const std::string errors = work_.path() + "/errors";
    std::filesystem::remove(work_.path() + "/environment");
    ChildProcess shell({.arguments = arguments,
                        .environment = environment,
                        .directory = work_.path(),
                        .error_log = errors});
    const auto deadline = std::chrono::steady_clock::now() + kScriptsTimeout;
    std::string running;
    const int status =
        shell.ReadLines([&](const std::string& line) { TakeLine(line, report, running); },
                        [&] {
                          poll_();
                          if (std::chrono::steady_clock::now() > deadline)
                            ThrowFor(running, "does not end");
                        });
    if (report) ShowErrors(errors);
    if (!running.empty() || !WIFEXITED(status)) ThrowFor(running, "ends the shell that reads it");
    Variables after = ParseEnvironment(ReadWhole(work_.path() + "/environment"));
    if (after.empty()) ThrowFor(scripts_.back(), "hides what the scripts set");
    return after;
  }

  void TakeLine(const std::string& line, bool report, std::string& running) {
    if (line.starts_with('+')) {
      running = line.substr(1);
      return;
    }
    if (report && line.starts_with('=') && line != "=0") {
      Warn("the activation script " + running + " failed with " + line.substr(1));
    }
    running.clear();
  }

  void ShowErrors(const std::string& path) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) log_.Write(line);
  }

  [[noreturn]] static void ThrowFor(const std::string& script, const std::string& what) {
    throw Error(ErrorKind::kInput, "this activation script " + what + "; its variables are unknown",
                "Leave it out with an exclude of the recipe, or mend the package that it is of.")
        .WithPath(script);
  }

  void Take(const std::string& name, const std::string& unset, const Variables& second) {
    const auto found = second.find(name);
    std::string first = unset;
    std::string marked = found == second.end() ? unset : found->second;
    if (name == "PATH") {
      // The first run began with a search path that stands for the job's.
      const std::string base = Base().at("PATH");
      ReplaceAll(first, base, kMark);
      ReplaceAll(marked, MarkFor(name), kMark);
      if (first != marked) Warn("the activation scripts change PATH in a way of their own");
      marked = first;
      first = "";
    }
    std::string value = GeneraliseValue(name, first, marked, kMark);
    for (const std::string& at : {prefix_, tree_}) GeneralisePrefix(value, at);
    if (value.find(work_.path()) != std::string::npos) {
      Warn("the activation scripts set " + name + " to a path of the build; it is left out");
      return;
    }
    activation_.variables.push_back({name, std::move(value)});
  }

  const std::string& tree_;
  const std::string& prefix_;
  BuildLog& log_;
  const std::function<void()>& poll_;
  const std::vector<std::string> scripts_;
  TemporaryDirectory work_;
  Activation activation_;
};

}  // namespace

Activation RecordActivation(const std::string& tree, const std::string& prefix, BuildLog& log,
                            const std::function<void()>& poll) {
  return Recorder(tree, prefix, log, poll).Record();
}

std::string GeneraliseValue(const std::string& name, const std::string& unset,
                            const std::string& marked, const std::string& mark) {
  const auto literal = [](std::string text) {
    ReplaceAll(text, "${", "$${");
    return text;
  };
  const size_t at = marked.find(mark);
  // It is set whatever it was.
  if (at == std::string::npos) return literal(unset);
  const std::string front = marked.substr(0, at);
  const std::string back = marked.substr(at + mark.size());
  const std::string reference = "${" + name + "}";
  std::string fallback;
  if (unset.size() >= front.size() + back.size() && unset.starts_with(front) &&
      unset.ends_with(back)) {
    fallback = unset.substr(front.size(), unset.size() - front.size() - back.size());
  }
  // What a reference cannot say.
  if (fallback.find_first_of("{}") != std::string::npos) return literal(unset);
  if (fallback.empty()) return literal(front) + reference + literal(back);
  return literal(front) + "${" + name + ":-" + fallback + "}" + literal(back);
}

std::vector<Manifest::Variable> JoinVariables(std::vector<Manifest::Variable> recorded,
                                              const std::vector<Manifest::Variable>& own) {
  std::vector<Manifest::Variable> joined;
  std::vector<Manifest::Variable> last = own;
  for (Manifest::Variable& variable : recorded) {
    const auto same = std::find_if(last.begin(), last.end(), [&](const Manifest::Variable& other) {
      return other.name == variable.name;
    });
    if (same == last.end()) {
      joined.push_back(std::move(variable));
    } else {
      ReplaceAll(same->value, "${" + variable.name + "}", variable.value);
    }
  }
  joined.insert(joined.end(), last.begin(), last.end());
  return joined;
}

}  // namespace firn
