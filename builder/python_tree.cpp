#include "builder/python_tree.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <system_error>

#include "format/file.h"
#include "format/little_endian.h"
#include "format/source_file.h"

namespace firn {
namespace {

constexpr std::string_view kCacheDirectory = "__pycache__";
constexpr std::array<std::string_view, 4> kPythonPlaces{"bin", "usr/bin", "usr/local/bin", ""};

TreeNode* FindChild(const TreeNode& node, std::string_view name) {
  const auto at = std::lower_bound(node.children.begin(), node.children.end(), name,
                                   [](const std::unique_ptr<TreeNode>& child,
                                      std::string_view key) { return child->name < key; });
  return at != node.children.end() && (*at)->name == name ? at->get() : nullptr;
}

const TreeNode* FindNode(const TreeNode& root, std::string_view path) {
  const TreeNode* node = &root;
  while (node != nullptr && !path.empty()) {
    const size_t end = std::min(path.find('/'), path.size());
    node = FindChild(*node, path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return node;
}

TreeNode* InsertChild(TreeNode& directory, std::unique_ptr<TreeNode> child) {
  child->parent = &directory;
  const auto at = std::lower_bound(directory.children.begin(), directory.children.end(), child,
                                   [](const auto& a, const auto& b) { return a->name < b->name; });
  return directory.children.insert(at, std::move(child))->get();
}

// "python3", "python", "python3.11": in the order in which they are tried.
int PythonRank(std::string_view name) {
  if (name == "python3") return 0;
  if (name == "python") return 1;
  if (!name.starts_with("python3.")) return -1;
  name.remove_prefix(std::string_view("python3.").size());
  const bool number = !name.empty() && std::all_of(name.begin(), name.end(),
                                                   [](char c) { return c >= '0' && c <= '9'; });
  return number ? 2 : -1;
}

bool IsExecutableFile(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error) && access(path.c_str(), X_OK) == 0;
}

// Does the symlink lead to a regular file below `directory`?
bool LeadsInside(const std::string& link, const std::string& directory) {
  std::error_code error;
  const std::string target = std::filesystem::canonical(link, error).string();
  return !error && target.starts_with(directory + "/") &&
         std::filesystem::is_regular_file(target, error);
}

void FindModulesBelow(TreeNode& node, const std::string& path, const std::string& directory,
                      std::vector<PythonModule>& modules) {
  for (const auto& child : node.children) {
    const std::string at = path.empty() ? child->name : path + "/" + child->name;
    if (child->type == FileType::kDirectory) {
      FindModulesBelow(*child, at, directory, modules);
      continue;
    }
    if (!child->name.ends_with(".py") || child->name.size() == 3) continue;
    if (child->type == FileType::kRegular ||
        (child->type == FileType::kSymlink && LeadsInside(directory + "/" + at, directory))) {
      modules.push_back({.parent = &node, .path = at, .file = child->name});
    }
  }
}

// The word after the magic number is zero for a .pyc that holds its source's time.
bool HoldsTimestamp(int directory, const TreeNode& file) {
  const FileDescriptor fd = OpenBelow(directory, file.RelativePath(), O_RDONLY | O_NONBLOCK);
  std::array<std::byte, 8> head;
  if (!fd.valid() || pread(fd.get(), head.data(), head.size(), 0) != ssize_t{head.size()}) {
    return false;
  }
  return LoadLe<uint32_t>(head.data() + 4) == 0;
}

}  // namespace

std::string SourceName(const std::string& cached) {
  if (!cached.ends_with(".pyc")) return {};
  std::string_view stem(cached);
  stem.remove_suffix(4);
  if (const size_t optimised = stem.rfind(".opt-"); optimised != std::string_view::npos) {
    stem = stem.substr(0, optimised);
  }
  const size_t tag = stem.rfind('.');
  if (tag == std::string_view::npos || tag == 0) return {};
  return std::string(stem.substr(0, tag)) + ".py";
}

std::string FindPython(const TreeNode& root, const std::string& directory) {
  for (const std::string_view place : kPythonPlaces) {
    const TreeNode* bin = FindNode(root, place);
    if (bin == nullptr) continue;
    std::string best;
    int best_rank = 3;
    for (const auto& child : bin->children) {
      const int rank = PythonRank(child->name);
      if (rank < 0 || rank >= best_rank || child->type == FileType::kDirectory) continue;
      const std::string path = std::string(place) + (place.empty() ? "" : "/") + child->name;
      if (!IsExecutableFile(directory + "/" + path)) continue;
      best = path;
      best_rank = rank;
    }
    if (!best.empty()) return best;
  }
  return {};
}

std::string FindPythonIn(const std::string& directory) {
  std::string best;
  int best_rank = 3;
  for (const std::string_view place : kPythonPlaces) {
    const std::string bin = directory + "/" + std::string(place);
    std::error_code error;
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(bin, error)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      const int rank = PythonRank(name);
      if (rank < 0 || rank >= best_rank || !IsExecutableFile(bin + "/" + name)) continue;
      best = std::string(place) + (place.empty() ? "" : "/") + name;
      best_rank = rank;
    }
    if (!best.empty()) break;
  }
  return best;
}

std::vector<PythonModule> FindModules(TreeNode& root, const std::string& directory) {
  std::vector<PythonModule> modules;
  FindModulesBelow(root, "", directory, modules);
  return modules;
}

ImportPaths::ImportPaths(const TreeNode& root) {
  std::vector<const TreeNode*> waiting{&root};
  while (!waiting.empty()) {
    const TreeNode* node = waiting.back();
    waiting.pop_back();
    for (const auto& child : node->children) {
      if (child->type == FileType::kDirectory && child->name != "site-packages") {
        waiting.push_back(child.get());
      }
      const bool is_link = child->type == FileType::kSymlink &&
                           (child->name == "dist-packages" || child->name == "site-packages");
      if (!is_link || child->symlink_target.starts_with('/')) continue;
      const std::string path = child->RelativePath();
      const std::filesystem::path target =
          std::filesystem::path(path).parent_path() / child->symlink_target;
      links_.push_back({path, target.lexically_normal().string()});
    }
  }
}

std::string ImportPaths::Of(const std::string& path) const {
  for (const Link& link : links_) {
    if (path.starts_with(link.target + "/")) return link.path + path.substr(link.target.size());
  }
  return path;
}

std::string CachedName(std::string_view file, std::string_view cache_tag) {
  file.remove_suffix(std::string_view(".py").size());
  return std::string(file) + "." + std::string(cache_tag) + ".pyc";
}

TreeNode* CacheDirectory(TreeNode& directory) {
  if (TreeNode* existing = FindChild(directory, kCacheDirectory)) {
    return existing->type == FileType::kDirectory ? existing : nullptr;
  }
  auto made = std::make_unique<TreeNode>();
  made->name = kCacheDirectory;
  return InsertChild(directory, std::move(made));
}

void PutFile(TreeNode& directory, const std::string& name, const std::string& source_path,
             const SourceStamp& stamp) {
  std::erase_if(directory.children, [&](const auto& child) { return child->name == name; });
  auto file = std::make_unique<TreeNode>();
  file->name = name;
  file->type = FileType::kRegular;
  file->permissions = 0644;
  file->source_path = source_path;
  file->stamp = stamp;
  InsertChild(directory, std::move(file));
}

void DropTimestampBytecode(TreeNode& root, int directory) {
  for (const auto& child : root.children) {
    if (child->type != FileType::kDirectory) continue;
    DropTimestampBytecode(*child, directory);
    if (child->name != kCacheDirectory) continue;
    std::erase_if(child->children, [&](const auto& file) {
      if (file->type != FileType::kRegular) return false;
      const std::string source = SourceName(file->name);
      return !source.empty() && FindChild(root, source) != nullptr &&
             HoldsTimestamp(directory, *file);
    });
  }
}

}  // namespace firn
