#include "builder/tree_path.h"

#include <filesystem>

namespace firn {

std::string NormalPath(std::string_view path) {
  return std::filesystem::path(path).lexically_normal().string();
}

std::string ParentOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string() : std::string(path.substr(0, slash));
}

std::string NameOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

std::string RelativePath(const std::string& from, const std::string& to) {
  return std::filesystem::path("/" + to).lexically_relative("/" + from).string();
}

std::string JoinPath(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "/" + name;
}

}  // namespace firn
