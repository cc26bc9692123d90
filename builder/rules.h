#ifndef FIRN_BUILDER_RULES_H_
#define FIRN_BUILDER_RULES_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "builder/build_log.h"
#include "builder/recipe.h"

namespace firn {

// What the rules work on: a tree that may be changed, at the prefix where it will be seen.
struct RuledTree {
  std::string path;      // absolute, without symlinks; its programs can be run there
  std::string original;  // where the environment was before: what the relocation looks for. Equal
                         // to `path` where it was realised there
  std::string image;     // the image's name, for messages in markers
  std::string rebuild;   // the command that makes the image again, for the same
  // Of a layer, the upper directory of the overlay that `path` is: what is new there is worked on,
  // the base's files are as its own build made them. Empty: the whole tree is.
  std::string changes = {};
  const Recipe& recipe;
  std::vector<std::string> build_places;  // further directories that no file should name
  unsigned jobs;
  BuildLog& log;
  std::function<void()> poll;  // called often; may throw to give up
};

struct RulesReport {
  uint64_t excluded = 0;        // files and directories that were left out
  uint64_t scripts = 0;         // programs that now find their interpreter beside themselves
  uint64_t relocated = 0;       // files in which another prefix was replaced
  uint64_t stripped_bytes = 0;  // that were saved
  // The prefix of the interpreter that a venv was flattened with, by all its names.
  std::vector<std::string> base_python;
  std::vector<std::string> bound;      // files that only work at the prefix, relative to it
  std::vector<std::string> leftovers;  // files that name a path of the build or of the original
};

// Applies the recipe's rules, in their order. Throws kInput where one cannot be carried out, and
// with `strict` where paths are left.
RulesReport ApplyRules(const RuledTree& tree);

}  // namespace firn

#endif  // FIRN_BUILDER_RULES_H_
