#ifndef FIRN_BUILDER_RULES_TREE_COPY_H_
#define FIRN_BUILDER_RULES_TREE_COPY_H_

#include <functional>
#include <string>

#include "builder/rules/rule_work.h"

namespace firn {

// Copies what is in the directory `source` (absolute) into the tree's directory `target`: files and
// the symlinks that stay within `source`; a symlink out of it becomes what it leads to, and is left
// out where it leads nowhere or into /etc, which is the host's. What the tree has already is kept.
// `wanted` is asked with each path below `source`.
void CopyTree(RuleWork& work, const std::string& source, const std::string& target,
              const std::function<bool(const std::string& path)>& wanted);

}  // namespace firn

#endif  // FIRN_BUILDER_RULES_TREE_COPY_H_
