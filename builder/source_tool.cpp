#include "builder/source_tool.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <sstream>
#include <utility>

#include "builder/child_process.h"
#include "format/error.h"

namespace firn {
namespace {

constexpr size_t kShownLines = 25;  // of a tool that failed
// What would have a tool look at, or write to, another environment than the one that is built.
constexpr std::array<std::string_view, 19> kMisleading{
    "VIRTUAL_ENV",      "CONDA_PREFIX",     "PYTHONPATH",
    "PYTHONHOME",       "PYTHONSTARTUP",    "PIP_USER",
    "PIP_TARGET",       "PIP_PREFIX",       "PIP_ROOT",
    "PIP_PYTHON",       "PIP_REQUIREMENT",  "PIP_REQUIRE_VIRTUALENV",
    "PIP_CONSTRAINT",   "UV_SYSTEM_PYTHON", "UV_PROJECT",
    "UV_TARGET",        "UV_PREFIX",        "UV_COMPILE_BYTECODE",
    "CONDA_DEFAULT_ENV"};
// Wheels are copied, not linked to the cache; nothing is written that differs from run to run if
// that can be helped. 1980: zip files, and so wheels, know no earlier time.
constexpr std::array<std::string_view, 12> kSettings{"UV_LINK_MODE=copy",
                                                     "UV_NO_PROGRESS=1",
                                                     "NO_COLOR=1",
                                                     "PIP_NO_INPUT=1",
                                                     "PIP_DISABLE_PIP_VERSION_CHECK=1",
                                                     "PIP_PROGRESS_BAR=off",
                                                     "PYTHONNOUSERSITE=1",
                                                     "PYTHONHASHSEED=0",
                                                     "CONDA_ALWAYS_COPY=true",
                                                     "MAMBA_ALWAYS_COPY=true",
                                                     "CONDA_ALWAYS_YES=true",
                                                     "MAMBA_ALWAYS_YES=true"};

std::string_view VariableName(std::string_view variable) {
  return variable.substr(0, variable.find('='));
}

bool IsProgram(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         access(path.c_str(), X_OK) == 0;
}

std::vector<std::string> SearchPath() {
  const char* path = std::getenv("PATH");
  std::vector<std::string> directories;
  std::istringstream parts(path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin");
  for (std::string part; std::getline(parts, part, ':');) {
    if (part.starts_with('/')) directories.push_back(part);
  }
  return directories;
}

std::string Shown(const std::vector<std::string>& words) {
  std::string text = std::filesystem::path(words.front()).filename().string();
  for (size_t i = 1; i < words.size(); ++i) text += " " + words[i];
  return text;
}

std::string Ending(int status) {
  if (WIFSIGNALED(status)) return "was ended by signal " + std::to_string(WTERMSIG(status));
  return "ended with exit code " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

SourceTools::SourceTools(std::string tree, std::string scratch, BuildLog& log,
                         std::function<void()> poll)
    : tree_(std::move(tree)), scratch_(std::move(scratch)), log_(log), poll_(std::move(poll)) {}

std::optional<std::string> SourceTools::Find(const std::string& program) const {
  if (program.find('/') != std::string::npos) {
    return IsProgram(program) ? std::optional(program) : std::nullopt;
  }
  for (const std::string& directory : SearchPath()) {
    std::string path = directory + "/" + program;
    if (IsProgram(path)) return path;
  }
  return std::nullopt;
}

std::string SourceTools::FindFirst(const std::vector<std::string>& programs,
                                   const std::string& remedy) const {
  std::string names;
  for (const std::string& program : programs) {
    if (std::optional<std::string> path = Find(program)) return *std::move(path);
    if (!names.empty()) names += " and no ";
    names += program;
  }
  std::string found =
      "this source is realised by a tool of its own; found no " + names + " in PATH";
  for (const std::string& directory : SearchPath()) {
    if ((directory + "/").starts_with(tree_ + "/")) {
      found += " (" + directory + " is hidden while the environment is built at " + tree_ + ")";
    }
  }
  throw Error(ErrorKind::kInput, found, remedy);
}

std::vector<std::string> SourceTools::Environment(const Command& command) const {
  std::vector<std::string> set(kSettings.begin(), kSettings.end());
  set.push_back("TMPDIR=" + scratch_);
  if (std::getenv("SOURCE_DATE_EPOCH") == nullptr) set.push_back("SOURCE_DATE_EPOCH=315532800");
  set.insert(set.end(), command.environment.begin(), command.environment.end());
  std::vector<std::string> result;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view name = VariableName(*variable);
    const bool is_set = std::any_of(set.begin(), set.end(), [&](const std::string& other) {
      return VariableName(other) == name;
    });
    const bool misleads =
        std::find(kMisleading.begin(), kMisleading.end(), name) != kMisleading.end();
    if (!is_set && !misleads) result.emplace_back(*variable);
  }
  result.insert(result.end(), set.begin(), set.end());
  return result;
}

// uv: "   Built NAME==1.0" or "   Built NAME @ file:///…"; pip: "  Building wheel for NAME (…".
void SourceTools::NoteBuilt(std::string_view line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  for (const std::string_view start : {"Built ", "Building wheel for "}) {
    if (!line.starts_with(start)) continue;
    line.remove_prefix(start.size());
    built_.emplace(line.substr(0, line.find_first_of(" =(")));
    return;
  }
}

void SourceTools::Run(const Command& command) {
  log_.Write("+ " + Shown(command.words));
  std::deque<std::string> last;
  ChildProcess process({.arguments = command.words,
                        .environment = Environment(command),
                        .directory = command.directory,
                        .error_log = {},
                        .grace = std::chrono::seconds(5)});
  const int status = process.ReadLines(
      [&](const std::string& printed) {
        // What a bar of progress wrote over its line is gone for people too.
        const std::string line = printed.substr(printed.rfind('\r', printed.size() - 2) + 1);
        log_.Write(line);
        NoteBuilt(line);
        last.push_back(line);
        if (last.size() > kShownLines) last.pop_front();
      },
      poll_);
  if (status == 0) return;
  std::string message =
      "expected success of '" + Shown(command.words) + "', which " + Ending(status);
  if (!last.empty()) message += ":";
  for (const std::string& line : last) message += "\n  " + line;
  throw Error(ErrorKind::kInput, message,
              log_.path().empty() ? std::string() : "All that it printed stands in " + log_.path());
}

}  // namespace firn
