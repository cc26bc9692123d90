#ifndef FIRN_BUILDER_RULES_CONDA_META_H_
#define FIRN_BUILDER_RULES_CONDA_META_H_

#include <string>
#include <vector>

#include "builder/rules/rule_work.h"

namespace firn {

// A file of a conda package that names its prefix.
struct PrefixedFile {
  std::string path;         // below the prefix
  std::string placeholder;  // what the package has where the prefix is to stand
  bool binary = false;
};

// As conda-meta/*.json say; empty where the tree is no conda prefix. Throws kInput for a record
// that cannot be read.
std::vector<PrefixedFile> ReadPrefixedFiles(RuleWork& work);

// conda-meta/*.json: what they say of the files that rules changed is made right, and what differs
// from build to build (directories of the package cache, how a file was linked) is taken out.
void NormaliseCondaRecords(RuleWork& work, bool clean);

// conda-meta/history: the commands and times go, what was installed stays.
void NormaliseCondaHistory(RuleWork& work);

}  // namespace firn

#endif  // FIRN_BUILDER_RULES_CONDA_META_H_
