#ifndef FIRN_BUILDER_RULES_RULE_WORK_H_
#define FIRN_BUILDER_RULES_RULE_WORK_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "builder/rules.h"
#include "builder/tree_path.h"

namespace firn {

struct TreeEntry {
  enum class Type { kDirectory, kRegular, kSymlink, kOther };
  std::string path;  // below the tree
  Type type = Type::kOther;
  uint64_t size = 0;
  bool executable = false;
};

// The tree while rules change it, and what they did to it. A file is never written in place: a new
// one takes its name, so that nothing of the user's is changed through a hard link, and nothing
// has to be copied first. Paths are below the tree, unless said otherwise. Not thread-safe, but for
// Read() and At().
class RuleWork {
 public:
  explicit RuleWork(const RuledTree& tree) : tree_(tree) {}
  RuleWork(const RuleWork&) = delete;
  RuleWork& operator=(const RuleWork&) = delete;

  const RuledTree& tree() const { return tree_; }
  const RecipeRules& rules() const { return tree_.recipe.rules; }
  // What files that name the environment's place must say: the recipe's prefix.
  const std::string& prefix() const;
  std::string At(std::string_view path) const { return tree_.path + "/" + std::string(path); }

  // Everything in the tree, or of a layer what is new in it and the caches of byte code beside what
  // changed, directories before what is in them, in the order of the names' bytes.
  // What cannot be read is left out: whoever writes the image names it. Valid until the next
  // change.
  const std::vector<TreeEntry>& Entries();
  // The regular files of Entries() that `wanted` says yes to.
  std::vector<TreeEntry> Files(const std::function<bool(const TreeEntry&)>& wanted);

  // The kind of what is there, without following it; nullopt for nothing.
  std::optional<TreeEntry::Type> TypeOf(const std::string& path) const;
  // The whole content of a regular file; nullopt where it is none or cannot be read.
  std::optional<std::string> Read(const std::string& path) const;
  // Makes the file, its directories too, or replaces it. Keeps the permissions of one that is
  // there, else 0755 or 0644. Throws kOutput.
  void Write(const std::string& path, std::string_view content, bool executable = false);
  // The same with the content of a file elsewhere (absolute), and its permissions.
  void CopyFrom(const std::string& source, const std::string& path);
  void Link(const std::string& path, const std::string& target);
  // Files and directories with all that is in them. Returns how many are gone.
  uint64_t Remove(const std::string& path);
  void MakeDirectories(const std::string& path);

  // Said to whoever builds.
  void Log(const std::string& line) const { tree_.log.Write(line); }

  // What was written resp. removed since the start.
  const std::set<std::string>& changed() const { return changed_; }
  const std::set<std::string>& removed() const { return removed_; }

  RulesReport report;

 private:
  const RuledTree& tree_;
  std::optional<std::vector<TreeEntry>> entries_;
  std::set<std::string> changed_;
  std::set<std::string> removed_;
};

// What the symlink at `path` (absolute) holds; empty where it cannot be read.
std::string LinkTarget(const std::string& path);

}  // namespace firn

#endif  // FIRN_BUILDER_RULES_RULE_WORK_H_
