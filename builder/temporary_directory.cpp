#include "builder/temporary_directory.h"

#include <stdlib.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "format/error.h"

namespace firn {
namespace {

std::string ParentDirectory() {
  const char* chosen = std::getenv("TMPDIR");
  std::string parent = chosen != nullptr && *chosen != '\0' ? chosen : "/tmp";
  std::error_code ignored;
  const std::filesystem::path absolute = std::filesystem::absolute(parent, ignored);
  return absolute.empty() ? parent : absolute.string();
}

}  // namespace

TemporaryDirectory::TemporaryDirectory() {
  const std::string parent = ParentDirectory();
  path_ = parent + "/firn-build.XXXXXX";
  if (mkdtemp(path_.data()) == nullptr) {
    throw SystemError(ErrorKind::kOutput, errno, "cannot create a temporary directory",
                      "Set TMPDIR to a directory that you may write to.")
        .WithPath(parent);
  }
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace firn
