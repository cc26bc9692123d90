#ifndef FIRN_BUILDER_TREE_PATH_H_
#define FIRN_BUILDER_TREE_PATH_H_

#include <string>
#include <string_view>

namespace firn {

// Paths below a tree, by their text alone.

// "a/b/../c" as "a/c".
std::string NormalPath(std::string_view path);

// Everything up to the last slash; empty for a name without one.
std::string ParentOf(std::string_view path);
// What comes after it.
std::string NameOf(std::string_view path);
// What leads from the directory `from` to `to`, both below the same place: "../lib".
std::string RelativePath(const std::string& from, const std::string& to);
// Of a name in the directory `path`, which is empty for the tree itself.
std::string JoinPath(const std::string& path, const std::string& name);

}  // namespace firn

#endif  // FIRN_BUILDER_TREE_PATH_H_
