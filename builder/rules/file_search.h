#ifndef FIRN_BUILDER_RULES_FILE_SEARCH_H_
#define FIRN_BUILDER_RULES_FILE_SEARCH_H_

#include <string>
#include <vector>

#include "builder/rules/rule_work.h"

namespace firn {

// A file that names some of the paths that were looked for.
struct FileHit {
  TreeEntry file;
  std::vector<size_t> paths;  // their indices
};

// Which regular files of the tree name which of the paths (as FindPath() does), in any byte of
// theirs; in tree order. .pyc files are left out. Reads as many files at once as the build has
// jobs.
std::vector<FileHit> SearchFiles(RuleWork& work, const std::vector<std::string>& paths);

}  // namespace firn

#endif  // FIRN_BUILDER_RULES_FILE_SEARCH_H_
