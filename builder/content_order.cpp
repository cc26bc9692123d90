#include "builder/content_order.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <tuple>
#include <unordered_set>
#include <utility>

#include "format/error.h"

namespace firn {
namespace {

constexpr std::string_view kBytecodeDirectory = "__pycache__";

const TreeNode* ChildNamed(const TreeNode& directory, std::string_view name) {
  const auto found = std::lower_bound(
      directory.children.begin(), directory.children.end(), name,
      [](const auto& child, std::string_view other) { return child->name < other; });
  if (found == directory.children.end() || (*found)->name != name) return nullptr;
  return found->get();
}

// nullptr where the tree has no such path.
const TreeNode* FindPath(const TreeNode& root, std::string_view path) {
  if (path == ".") return &root;
  const TreeNode* node = &root;
  while (node != nullptr) {
    const size_t slash = path.find('/');
    node = ChildNamed(*node, path.substr(0, slash));
    if (slash == path.npos) break;
    path.remove_prefix(slash + 1);
  }
  return node;
}

enum class Applies { kYes, kNo, kMissing };

// May shorten a read that goes beyond the file's end.
Applies EntryApplies(const TreeNode* node, ProfileEntry& entry) {
  switch (entry.action) {
    case ProfileAction::kMiss:
      return node == nullptr ? Applies::kYes : Applies::kNo;
    case ProfileAction::kLookup:
      return node != nullptr ? Applies::kYes : Applies::kMissing;
    case ProfileAction::kList:
      return node != nullptr && node->type == FileType::kDirectory ? Applies::kYes
                                                                   : Applies::kMissing;
    case ProfileAction::kRead:
      if (node == nullptr || node->type != FileType::kRegular) return Applies::kMissing;
      if (entry.offset >= node->stamp.size) return Applies::kNo;
      entry.length = std::min(entry.length, node->stamp.size - entry.offset);
      return Applies::kYes;
  }
  return Applies::kNo;
}

// What decides a file's place: compared field by field. The views are into the tree's names.
struct Likeness {
  bool no_module = false;    // Python modules stand first
  std::string_view kind;     // of the others
  uint32_t directory = 0;    // its number in the walk; of byte code, that of the module's
  std::string_view module;   // the name up to the first dot
  bool is_bytecode = false;  // follows its module: they share their strings
  std::string_view name;
  const TreeNode* node = nullptr;

  auto Key() const { return std::tie(no_module, kind, directory, module, is_bytecode, name); }
};

// By the name alone: what is in a file need not be known before it is read.
std::string_view KindOf(std::string_view name) {
  for (size_t at = name.find(".so"); at != name.npos; at = name.find(".so", at + 1)) {
    if (at + 3 == name.size() || name[at + 3] == '.') return ".so";
  }
  const size_t dot = name.rfind('.');
  return dot == name.npos || dot == 0 ? std::string_view() : name.substr(dot);
}

class LikenessCollector {
 public:
  std::vector<Likeness> Collect(const TreeNode& root) {
    Visit(root, 0);
    return std::move(files_);
  }

 private:
  void Visit(const TreeNode& directory, uint32_t parent) {
    const uint32_t number = directories_++;
    for (const auto& child : directory.children) {
      if (child->type == FileType::kDirectory) {
        Visit(*child, number);
      } else if (child->type == FileType::kRegular && child->hard_link == nullptr) {
        Add(*child, directory.name == kBytecodeDirectory ? parent : number, number);
      }
    }
  }

  void Add(const TreeNode& file, uint32_t of_module, uint32_t own) {
    Likeness likeness;
    likeness.name = file.name;
    likeness.node = &file;
    likeness.kind = KindOf(file.name);
    likeness.directory = own;
    if (likeness.kind == ".py" || likeness.kind == ".pyc") {
      likeness.is_bytecode = likeness.kind == ".pyc";
      likeness.directory = likeness.is_bytecode ? of_module : own;
      likeness.module = likeness.name.substr(0, likeness.name.find('.'));
      likeness.kind = {};
    } else {
      likeness.no_module = true;
    }
    files_.push_back(likeness);
  }

  std::vector<Likeness> files_;
  uint32_t directories_ = 0;
};

}  // namespace

Profile ReadProfiles(std::span<const std::string> paths) {
  std::vector<Profile> profiles;
  profiles.reserve(paths.size());
  for (const std::string& path : paths) profiles.push_back(Profile::ReadFile(path));
  return Profile::Merge(profiles);
}

AppliedProfile ApplyProfile(const Profile& profile, const TreeNode& root) {
  AppliedProfile applied;
  std::vector<ProfileEntry> entries;
  std::unordered_set<const TreeNode*> in_front;
  std::set<std::string_view> missing;
  for (const ProfileEntry& given : profile.entries()) {
    ProfileEntry entry = given;
    const TreeNode* node = FindPath(root, entry.path);
    const Applies applies = EntryApplies(node, entry);
    if (applies == Applies::kMissing) missing.insert(given.path);
    if (applies != Applies::kYes) continue;
    if (entry.action == ProfileAction::kRead) {
      const TreeNode* file = node->hard_link != nullptr ? node->hard_link : node;
      if (in_front.insert(file).second) applied.front.push_back(file);
    }
    entries.push_back(std::move(entry));
  }
  applied.paths_missing = missing.size();
  if (entries.empty()) return applied;
  applied.text = Profile(std::move(entries)).ToText();
  if (applied.text.size() > kMaxProfileLength) {
    throw Error(ErrorKind::kInput,
                "expected profiles of at most " + std::to_string(kMaxProfileLength >> 20) +
                    " MiB together, found more",
                "Give fewer of them with --profile.");
  }
  return applied;
}

ContentOrder OrderContents(const TreeNode& root, std::span<const TreeNode* const> front) {
  std::vector<Likeness> files = LikenessCollector().Collect(root);
  std::sort(files.begin(), files.end(),
            [](const Likeness& a, const Likeness& b) { return a.Key() < b.Key(); });
  ContentOrder order{.files = {front.begin(), front.end()}, .front = front.size()};
  const std::unordered_set<const TreeNode*> in_front(front.begin(), front.end());
  for (const Likeness& file : files) {
    if (!in_front.contains(file.node)) order.files.push_back(file.node);
  }
  return order;
}

}  // namespace firn
