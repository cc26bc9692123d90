#include "builder/source_base.h"

#include <filesystem>
#include <system_error>

#include "builder/environment_kind.h"
#include "builder/inspect/tree_file.h"
#include "builder/python_tree.h"
#include "builder/rules/pip_stub.h"
#include "builder/source_parts.h"

namespace firn {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t kLookedAt = 1024;  // bytes of a program

void RemovePipStubs(const std::string& programs) {
  // Of a hostile base, a link may lead to the host's.
  if (!fs::is_directory(fs::symlink_status(programs))) return;
  for (const std::string& name : NamesIn(programs)) {
    const std::string path = programs + "/" + name;
    if (!name.starts_with("pip") || fs::is_symlink(fs::symlink_status(path))) continue;
    const std::optional<std::string> start = ReadTreeFile(path, kLookedAt);
    if (start && IsPipStub(*start)) fs::remove(path);
  }
}

}  // namespace

bool ShowsBase(const std::string& tree) {
  return FindEnvironmentKind(tree) != EnvironmentKind::kOther;
}

void AllowInstalls(const std::string& tree) {
  fs::remove(tree + "/conda-meta/frozen");
  std::error_code none;
  RemovePipStubs(tree + "/bin");
  for (const char* libraries : {"/lib", "/lib64", "/usr/lib"}) {
    for (const auto& library : fs::directory_iterator(tree + libraries, none)) {
      if (!library.path().filename().string().starts_with("python3")) continue;
      fs::remove(library.path() / "EXTERNALLY-MANAGED");
    }
  }
}

void DropStaleBytecode(const std::string& tree, const std::string& changes) {
  for (const auto& entry : fs::recursive_directory_iterator(changes)) {
    const fs::path& written = entry.path();
    if (written.extension() != ".py" || !fs::is_regular_file(entry.symlink_status())) continue;
    const fs::path cache = written.parent_path().lexically_relative(changes) / "__pycache__";
    if (!fs::is_directory(fs::symlink_status(tree / cache))) continue;
    const std::string source = written.filename().string();
    for (const std::string& name : NamesIn(tree / cache)) {
      const bool is_old = !fs::exists(fs::symlink_status(changes / cache / name));
      if (is_old && SourceName(name) == source) fs::remove(tree / cache / name);
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
