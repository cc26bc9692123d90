#include "builder/layer_changes.h"

#include <sys/xattr.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <string_view>

#include "builder/inspect/tree_file.h"
#include "builder/python_lock.h"

namespace firn {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 3> kLibraryPlaces{"/lib", "/lib64", "/usr/lib"};
constexpr std::string_view kElfMark = "\177ELF";

// Directories that Python packages are in, below the tree: "/lib/python3.11/site-packages".
std::vector<std::string> SiteDirectories(const std::string& tree) {
  std::vector<std::string> sites;
  for (const std::string_view library : kLibraryPlaces) {
    for (const std::string& name : NamesIn(tree + std::string(library))) {
      if (!name.starts_with("python3")) continue;
      for (const char* site : {"/site-packages", "/dist-packages"}) {
        const std::string path = std::string(library) + "/" + name + site;
        if (fs::is_directory(fs::symlink_status(tree + path))) sites.push_back(path);
      }
    }
  }
  return sites;
}

// Of "Foo_bar-1.0.dist-info"; empty for another file.
std::string DistributionName(const std::string& file) {
  if (!file.ends_with(".dist-info") && !file.ends_with(".egg-info")) return {};
  return NormalPackageName(file.substr(0, std::min(file.find('-'), file.rfind('.'))));
}

// Lines of a .pth file and these modules run in every Python.
bool RunsAtStart(const std::string& name) {
  return name.ends_with(".pth") || name.starts_with("sitecustomize") ||
         name.starts_with("usercustomize");
}

bool IsOpaque(const std::string& directory) {
  for (const char* name : {"user.overlay.opaque", "trusted.overlay.opaque"}) {
    char value = 0;
    if (lgetxattr(directory.c_str(), name, &value, 1) == 1 && value == 'y') return true;
  }
  return false;
}

// What the name of a whiteout says that it hides.
bool HidesNoElfFile(const std::string& name) {
  return name.ends_with(".py") || name.ends_with(".pyc") || name == "EXTERNALLY-MANAGED" ||
         name == "frozen";
}

bool MayChangeNeeds(const fs::directory_entry& entry) {
  const std::string path = entry.path().string();
  const fs::file_status status = entry.symlink_status();
  switch (status.type()) {
    case fs::file_type::directory:
      return IsOpaque(path);
    case fs::file_type::regular:
      return ReadTreeFile(path, kElfMark.size()).value_or(std::string(kElfMark)) == kElfMark;
    case fs::file_type::symlink:
      return path.find(".so") != std::string::npos;
    default:
      return !HidesNoElfFile(entry.path().filename().string());
  }
}

}  // namespace

std::set<std::string> DistributionNames(const std::string& tree) {
  std::set<std::string> names;
  for (const std::string& site : SiteDirectories(tree)) {
    for (const std::string& file : NamesIn(tree + site)) {
      if (std::string name = DistributionName(file); !name.empty()) names.insert(std::move(name));
    }
  }
  return names;
}

ChangedPackages FindChangedPackages(const std::string& tree, const std::string& changes,
                                    const std::set<std::string>& before, bool& everything) {
  std::set<std::string> touched;
  everything = false;
  for (const std::string& site : SiteDirectories(changes)) {
    for (const std::string& file : NamesIn(changes + site)) {
      everything = everything || RunsAtStart(file);
      if (std::string name = DistributionName(file); !name.empty()) touched.insert(std::move(name));
    }
  }
  for (const std::string& record : NamesIn(changes + "/conda-meta")) {
    const fs::file_status status = fs::symlink_status(changes + "/conda-meta/" + record);
    everything = everything || (record.ends_with(".json") && !fs::is_regular_file(status));
  }
  const std::set<std::string> now = DistributionNames(tree);
  ChangedPackages changed;
  std::ranges::set_intersection(touched, now, std::back_inserter(changed.installed));
  std::ranges::set_intersection(touched, before, std::back_inserter(changed.replaced));
  return changed;
}

bool KeepsElfFiles(const std::string& changes) {
  const fs::recursive_directory_iterator entries(changes);
  return std::none_of(begin(entries), end(entries), MayChangeNeeds);
}

}  // namespace firn
