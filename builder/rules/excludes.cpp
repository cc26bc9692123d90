#include "builder/rules/excludes.h"

#include <algorithm>
#include <string>
#include <vector>

#include "builder/rules/glob.h"

namespace firn {
namespace {

// "lib/x/" and "/lib/x" mean lib/x.
std::string PlainGlob(std::string glob) {
  while (glob.size() > 1 && glob.ends_with('/')) glob.pop_back();
  return glob.starts_with('/') ? glob.substr(1) : glob;
}

}  // namespace

void ApplyExcludes(RuleWork& work) {
  std::vector<std::string> globs;
  for (const std::string& glob : work.tree().recipe.excludes) globs.push_back(PlainGlob(glob));
  if (globs.empty()) return;
  std::vector<std::string> excluded;
  for (const TreeEntry& entry : work.Entries()) {
    if (!excluded.empty() && entry.path.starts_with(excluded.back() + "/")) continue;
    const bool matches = std::any_of(globs.begin(), globs.end(), [&](const std::string& glob) {
      return GlobMatches(glob, entry.path);
    });
    if (matches) excluded.push_back(entry.path);
  }
  for (const std::string& path : excluded) work.report.excluded += work.Remove(path);
}

}  // namespace firn
