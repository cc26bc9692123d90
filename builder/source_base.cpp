#include "builder/source_base.h"

#include <filesystem>
#include <system_error>

#include "builder/environment_kind.h"
#include "builder/source_parts.h"

namespace firn {

namespace fs = std::filesystem;

bool ShowsBase(const std::string& tree) {
  return FindEnvironmentKind(tree) != EnvironmentKind::kOther;
}

void AllowInstalls(const std::string& tree) {
  fs::remove(tree + "/conda-meta/frozen");
  std::error_code none;
  for (const char* libraries : {"/lib", "/lib64", "/usr/lib"}) {
    for (const auto& library : fs::directory_iterator(tree + libraries, none)) {
      if (!library.path().filename().string().starts_with("python3")) continue;
      fs::remove(library.path() / "EXTERNALLY-MANAGED");
    }
  }
}

VenvFace::VenvFace(const std::string& tree) : path_(tree + "/pyvenv.cfg") {
  WriteScratchFile(path_, "home = " + tree + "/bin\ninclude-system-site-packages = false\n");
}

VenvFace::~VenvFace() {
  std::error_code ignored;
  fs::remove(path_, ignored);
}

}  // namespace firn
