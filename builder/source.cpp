#include "builder/source.h"

#include <filesystem>
#include <system_error>

#include "format/error.h"

namespace firn {

RecipeSource DetectSource(const std::string& path) {
  std::error_code ignored;
  RecipeSource source;
  source.path = std::filesystem::absolute(path).lexically_normal().string();
  if (std::filesystem::is_directory(path, ignored)) return source;
  throw Error(ErrorKind::kInput, "expected an environment's directory, found none").WithPath(path);
}

bool IsEnvironment(const std::string& directory) {
  std::error_code ignored;
  for (const char* mark : {"pyvenv.cfg", "conda-meta", "bin/python3", "bin/python"}) {
    const auto status = std::filesystem::symlink_status(directory + "/" + mark, ignored);
    if (std::filesystem::exists(status)) return true;
  }
  return false;
}

RealisedSource Realise(const RecipeSource& source, const std::string&, BuildLog&,
                       const std::function<void()>&) {
  throw Error(ErrorKind::kUnsupported, "this kind of source cannot be built").WithPath(source.path);
}

}  // namespace firn
