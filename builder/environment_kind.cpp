#include "builder/environment_kind.h"

#include <filesystem>
#include <system_error>

namespace firn {

EnvironmentKind FindEnvironmentKind(const std::string& directory) {
  const auto has = [&](const char* name) {
    std::error_code ignored;
    return std::filesystem::exists(
        std::filesystem::symlink_status(directory + "/" + name, ignored));
  };
  if (has("conda-meta")) return EnvironmentKind::kConda;
  if (has("pyvenv.cfg")) return EnvironmentKind::kVenv;
  if (has("bin/python3") || has("bin/python")) return EnvironmentKind::kPython;
  return EnvironmentKind::kOther;
}

}  // namespace firn
