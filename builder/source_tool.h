#ifndef FIRN_BUILDER_SOURCE_TOOL_H_
#define FIRN_BUILDER_SOURCE_TOOL_H_

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "builder/build_log.h"

namespace firn {

// Runs the user's own tools, with what they print in the log of the build. Not thread-safe.
class SourceTools {
 public:
  // `tree`: where the environment is being built; it may hide programs that lie there. `scratch`:
  // the tools' TMPDIR. `poll` is called while a tool runs, and may throw to end it.
  SourceTools(std::string tree, std::string scratch, BuildLog& log, std::function<void()> poll);

  // The program's path, as PATH has it; nothing where it is not there.
  std::optional<std::string> Find(const std::string& program) const;
  // The first of them that is there. Throws kInput, naming them and `remedy`.
  std::string FindFirst(const std::vector<std::string>& programs, const std::string& remedy) const;

  struct Command {
    std::vector<std::string> words;             // the first is the program's path
    std::string directory = "/";                // to run in
    std::vector<std::string> environment = {};  // NAME=VALUE, besides what every tool gets
  };
  // Throws kInput with the last lines that it printed where it fails.
  void Run(const Command& command);

  // A line of the log that is no tool's.
  void Note(std::string_view line) { log_.Write(line); }
  // Packages that the tools said they built from sources.
  const std::set<std::string>& built() const { return built_; }

 private:
  std::vector<std::string> Environment(const Command& command) const;
  void NoteBuilt(std::string_view line);

  const std::string tree_;
  const std::string scratch_;
  BuildLog& log_;
  const std::function<void()> poll_;
  std::set<std::string> built_;
};

}  // namespace firn

#endif  // FIRN_BUILDER_SOURCE_TOOL_H_
