#ifndef FIRN_BUILDER_PYTHON_TREE_H_
#define FIRN_BUILDER_PYTHON_TREE_H_

#include <string>
#include <string_view>
#include <vector>

#include "format/image_writer.h"

// What a tree has of Python, and what to change in it. Names only; nothing is executed.
namespace firn {

// Path below the tree's root of its Python 3, of the first place that has one; empty for none.
// `directory` is the tree's path.
std::string FindPython(const TreeNode& root, const std::string& directory);

// The same for a directory whose nodes are not all there.
std::string FindPythonIn(const std::string& directory);

struct PythonModule {
  TreeNode* parent = nullptr;  // the directory that it is in
  std::string path;            // of the .py, below the tree's root
  std::string file;            // its name
};

// Every .py of the tree, in walk order: regular files, and symlinks that lead to a regular file
// inside of `directory`.
std::vector<PythonModule> FindModules(TreeNode& root, const std::string& directory);

// The path below the root by which Python finds a module: through the symlink, where one named
// site-packages or dist-packages leads to the directory that the module is in, else its own.
class ImportPaths {
 public:
  explicit ImportPaths(const TreeNode& root);
  std::string Of(const std::string& path) const;

 private:
  struct Link {
    std::string path;
    std::string target;  // a directory below the root
  };
  std::vector<Link> links_;
};

// "module.cpython-311.pyc" for "module.py".
std::string CachedName(std::string_view file, std::string_view cache_tag);

// Name of the module's source for "module.cpython-311.opt-1.pyc"; empty for what is no such name.
std::string SourceName(const std::string& cached);

// The __pycache__ of a directory, made if there is none. nullptr where something else has its name.
TreeNode* CacheDirectory(TreeNode& directory);

// Adds a regular file, or replaces the one of that name, keeping the order.
void PutFile(TreeNode& directory, const std::string& name, const std::string& source_path,
             const SourceStamp& stamp);

// Removes from every __pycache__ the .pyc files that name their source by its time, if that source
// is there: image times make them stale, and they would be compiled again at every import.
// `directory` is the tree's, open.
void DropTimestampBytecode(TreeNode& root, int directory);

}  // namespace firn

#endif  // FIRN_BUILDER_PYTHON_TREE_H_
