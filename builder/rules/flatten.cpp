#include "builder/rules/flatten.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "builder/rules/base_python.h"
#include "builder/rules/elf_dynamic.h"
#include "builder/rules/path_text.h"
#include "builder/rules/run_paths.h"
#include "builder/rules/tree_copy.h"
#include "format/error.h"

namespace firn {
namespace {

constexpr char kVenvFile[] = "pyvenv.cfg";

std::string LowerCase(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

std::string Trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\r");
  const size_t last = text.find_last_not_of(" \t\r");
  return first == std::string::npos ? std::string() : text.substr(first, last - first + 1);
}

std::string VenvValue(const std::string& config, std::string_view key) {
  std::istringstream lines(config);
  for (std::string line; std::getline(lines, line);) {
    const size_t equals = line.find('=');
    if (equals == std::string::npos || LowerCase(Trimmed(line.substr(0, equals))) != key) continue;
    return Trimmed(line.substr(equals + 1));
  }
  return {};
}

bool IsBytecodeOrStatic(const std::string& path) {
  return NameOf(path) == "__pycache__" || path.ends_with(".pyc") || path.ends_with(".a");
}

// What of a standard library is not for an image: packages of the host, what Build() makes anew,
// CPython's tests of itself (Debian leaves out the same), archives to link a Python statically.
bool IsWantedOfLibrary(const std::string& path) {
  if (IsBytecodeOrStatic(path)) return false;
  if (path == "site-packages" || path == "dist-packages" || path == "EXTERNALLY-MANAGED") {
    return false;
  }
  if (!path.starts_with("test/")) return true;
  return path == "test/__init__.py" || (path + "/").starts_with("test/support/");
}

class Flattening {
 public:
  Flattening(RuleWork& work, PythonLayout base, bool with_sites)
      : work_(work), base_(std::move(base)), with_sites_(with_sites) {}

  void Run() {
    CopyLibrary();
    CopyLinkedLibraries();
    CopyExtras();
    ReplaceInterpreter();
    work_.Remove(kVenvFile);
    if (IsOwnPrefix()) {
      const std::vector<std::string> names = BasePlaces();
      NameTreeInBaseFiles(names);
      MakeRunPathsRelative(work_, names);
    }
    LinkSites();
    work_.report.base_python = BasePlaces();
  }

 private:
  // A Python with a prefix for itself, all of which is Python; not /usr.
  bool IsOwnPrefix() const { return base_.prefix != "/usr" && base_.prefix != "/usr/local"; }

  // Below the base's prefix; throws where it is not.
  std::string Below(const std::string& path) const {
    if (path.starts_with(base_.prefix + "/")) return path.substr(base_.prefix.size() + 1);
    throw Error(ErrorKind::kInput,
                "expected the base Python's " + path + " below its prefix " + base_.prefix,
                "Take another base Python; --no-rules takes the venv as it is.")
        .WithPath(base_.executable);
  }

  void CopyLibrary() {
    CopyTree(work_, base_.library, Below(base_.library), IsWantedOfLibrary);
    if (base_.extensions != base_.library) {
      CopyTree(work_, base_.extensions, Below(base_.extensions), IsWantedOfLibrary);
    }
    std::error_code ignored;
    if (std::filesystem::is_directory(base_.include, ignored) &&
        base_.include.starts_with(base_.prefix + "/")) {
      CopyTree(work_, base_.include, Below(base_.include), [](const std::string&) { return true; });
    }
  }

  // Where the interpreter's and its modules' libraries are: in a prefix of its own every one that
  // it has; of a system the one that is Python's.
  std::string FindLibrary(const std::string& name) const {
    if (name.find('/') != std::string::npos) return {};
    if (!IsOwnPrefix() && !name.starts_with("libpython")) return {};
    std::vector<std::string> places{base_.prefix + "/lib"};
    if (!IsOwnPrefix()) {
      for (const char* more : {"/lib64", "/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu"}) {
        places.push_back(base_.prefix + more);
      }
    }
    std::error_code ignored;
    for (const std::string& place : places) {
      if (std::filesystem::is_regular_file(place + "/" + name, ignored)) return place + "/" + name;
    }
    return {};
  }

  void CopyNeededBy(const std::string& file) {
    const std::optional<ElfDynamic> dynamic = ReadElfDynamic(file);
    if (!dynamic) return;
    for (const std::string& name : dynamic->needed) {
      const std::string source = FindLibrary(name);
      if (source.empty()) continue;
      const std::string target = "lib/" + name;
      if (work_.TypeOf(target)) continue;
      work_.CopyFrom(std::filesystem::canonical(source).string(), target);
      CopyNeededBy(work_.At(target));
    }
  }

  void CopyLinkedLibraries() {
    CopyNeededBy(base_.executable);
    const std::string modules = Below(base_.extensions) + "/lib-dynload/";
    const std::vector<TreeEntry> files = work_.Files([&](const TreeEntry& entry) {
      return entry.path.starts_with(modules) && entry.path.find(".so") != std::string::npos;
    });
    for (const TreeEntry& file : files) CopyNeededBy(work_.At(file.path));
  }

  // What modules of the standard library look for in the prefix, beside the libraries.
  void CopyExtras() {
    if (!IsOwnPrefix()) return;
    std::error_code ignored;
    const auto copy_directory = [&](const std::string& path) {
      if (!std::filesystem::is_directory(base_.prefix + "/" + path, ignored)) return;
      CopyTree(work_, base_.prefix + "/" + path, path,
               [](const std::string& below) { return !IsBytecodeOrStatic(below); });
    };
    copy_directory("share/terminfo");
    for (const auto& entry : std::filesystem::directory_iterator(base_.prefix + "/lib", ignored)) {
      const std::string name = entry.path().filename().string();
      const bool tcl = name.starts_with("tcl") || name.starts_with("tk") || name == "thread" ||
                       name.starts_with("itcl");
      if (tcl && entry.is_directory(ignored)) copy_directory("lib/" + name);
    }
  }

  bool LeadsToInterpreter(const std::string& path) const {
    std::error_code error;
    const auto real = std::filesystem::canonical(work_.At(path), error);
    return !error && real.string() == base_.executable;
  }

  void ReplaceInterpreter() {
    const std::string name = "python" + base_.version;
    std::vector<std::string> links{"python3", "python"};
    for (const TreeEntry& entry : work_.Entries()) {
      if (ParentOf(entry.path) != "bin" || entry.type != TreeEntry::Type::kSymlink) continue;
      const std::string other = NameOf(entry.path);
      if (other != name && LeadsToInterpreter(entry.path)) links.push_back(other);
    }
    work_.CopyFrom(base_.executable, "bin/" + name);
    for (const std::string& link : links) work_.Link("bin/" + link, name);
    // Beside the interpreter, as its run path says when it names no place in the base.
    MakeLibraryFindable("bin/" + name);
  }

  // A libpython of the system's directories is found there by the loader alone, and so might be
  // another one: the interpreter cannot be told otherwise without room for a run path.
  void MakeLibraryFindable(const std::string& interpreter) {
    const std::optional<ElfDynamic> dynamic = ReadElfDynamic(work_.At(interpreter));
    if (!dynamic || IsOwnPrefix()) return;
    for (const std::string& name : dynamic->needed) {
      if (name.starts_with("libpython") && dynamic->run_path.empty()) {
        work_.Log("note: " + interpreter + " takes " + name + " from the host's library path: " +
                  "set LD_LIBRARY_PATH to " + work_.prefix() + "/lib where that has none");
        work_.report.bound.push_back(interpreter);
      }
    }
  }

  // The base's prefix, and where that is a link, as uv's for the newest 3.13, what it leads to.
  std::vector<std::string> BasePlaces() const {
    std::vector<std::string> places{base_.prefix};
    std::error_code error;
    const std::string real = std::filesystem::canonical(base_.prefix, error).string();
    if (!error && real != base_.prefix) places.push_back(real);
    return places;
  }

  // sysconfig's data, pkg-config files and the like name the base's prefix.
  void NameTreeInBaseFiles(const std::vector<std::string>& names) {
    const std::string library = Below(base_.library) + "/";
    const std::string headers =
        base_.include.starts_with(base_.prefix + "/") ? Below(base_.include) + "/" : library;
    const std::vector<TreeEntry> files = work_.Files([&](const TreeEntry& file) {
      const std::string name = NameOf(file.path);
      return (file.path.starts_with(library) || file.path.starts_with(headers)) &&
             file.path.find("/site-packages/") == std::string::npos &&
             (name.starts_with("_sysconfig") || name == "Makefile" || name == "pyconfig.h" ||
              name.find("config") != std::string::npos);
    });
    for (const TreeEntry& file : files) {
      std::optional<std::string> content = work_.Read(file.path);
      if (!content || IsBinary(*content)) continue;
      bool is_changed = false;
      for (const std::string& name : names) {
        auto made = ReplacePath(*content, name, work_.prefix());
        is_changed = is_changed || made.has_value();
        if (made) content = *std::move(made);
      }
      if (!is_changed) continue;
      work_.Write(file.path, *content);
      ++work_.report.relocated;
    }
  }

  // Debian's Python looks for packages elsewhere than a venv has them: links lead from there.
  void LinkSites() {
    const PythonLayout now = AskPython(work_, work_.At("bin/python3"));
    if (now.prefix != work_.tree().path) {
      throw Error(
          ErrorKind::kInput,
          "expected the flattened Python's prefix " + work_.tree().path + ", found " + now.prefix,
          "Take another base Python; --no-rules takes the venv as it is.")
          .WithPath(base_.executable);
    }
    const auto below = [&](const std::string& path) {
      return path.substr(std::min(path.size(), now.prefix.size() + 1));
    };
    const std::string packages = "lib/python" + base_.version + "/site-packages";
    const std::string site = below(now.packages);
    if (site != packages) {
      work_.MakeDirectories(packages);
      work_.Link(site, RelativePath(ParentOf(site), packages));
    }
    if (const std::string data = below(now.data); !data.empty()) {
      for (const char* name : {"bin", "include", "share", "etc"}) {
        if (!work_.TypeOf(name) || work_.TypeOf(data + "/" + name)) continue;
        work_.Link(data + "/" + name, RelativePath(data, name));
      }
    }
    const bool other_sites = site != packages && now.sites.size() > 1;
    if (with_sites_) CopySites(other_sites ? below(now.sites[1]) : packages);
  }

  // Packages of the base come after the venv's own, and the first of two of one name is taken.
  void CopySites(const std::string& target) {
    for (const std::string& site : base_.sites) {
      std::error_code ignored;
      if (!std::filesystem::is_directory(site, ignored)) continue;
      const std::vector<std::string> taken = PackageNames(work_.At(target));
      CopyTree(work_, site, target, [&](const std::string& path) {
        const std::string top = path.substr(0, path.find('/'));
        return !IsBytecodeOrStatic(path) &&
               std::find(taken.begin(), taken.end(), PackageName(top)) == taken.end();
      });
      work_.Log("note: the packages of " + site + " are in the image, as the venv sees them");
    }
  }

  // "numpy" for "numpy-1.24.2.dist-info", else the name of a file or directory as it is.
  static std::string PackageName(const std::string& name) {
    if (!name.ends_with(".dist-info") && !name.ends_with(".egg-info")) return name;
    std::string project = LowerCase(name.substr(0, name.find('-')));
    std::replace(project.begin(), project.end(), '.', '_');
    return project + "-info";
  }

  static std::vector<std::string> PackageNames(const std::string& directory) {
    std::vector<std::string> names;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
      names.push_back(PackageName(entry.path().filename().string()));
    }
    return names;
  }

  RuleWork& work_;
  const PythonLayout base_;
  const bool with_sites_;
};

}  // namespace

void FlattenVenv(RuleWork& work) {
  const std::optional<std::string> config = work.Read(kVenvFile);
  if (!config) return;
  std::error_code error;
  std::string python;
  for (const char* name : {"bin/python3", "bin/python"}) {
    if (python.empty() && std::filesystem::exists(work.At(name), error)) python = work.At(name);
  }
  if (python.empty()) {
    throw Error(ErrorKind::kInput,
                "expected the venv's base Python in " + VenvValue(*config, "home") +
                    ", found bin/python3 to lead nowhere",
                "Make the venv anew on this machine, or build it where its base Python is.")
        .WithPath(work.tree().original);
  }
  PythonLayout base = AskPython(work, python);
  if (base.implementation != "cpython") {
    throw Error(ErrorKind::kInput, "expected a venv of CPython, found " + base.implementation,
                "Set rules: {flatten: false} in the recipe: the image then needs its base Python.")
        .WithPath(work.tree().original);
  }
  const bool with_sites = LowerCase(VenvValue(*config, "include-system-site-packages")) == "true";
  Flattening(work, std::move(base), with_sites).Run();
}

}  // namespace firn
