#include "builder/inspect/packages_system.h"

#include <algorithm>
#include <utility>

#include "builder/inspect/header_fields.h"
#include "builder/inspect/tree_file.h"

namespace firn {
namespace {

constexpr uint64_t kDescriptionLimit = uint64_t{1} << 20;
constexpr uint64_t kStatusLimit = uint64_t{256} << 20;

// Libraries of R below a prefix: conda's and R's own, and Debian's.
constexpr const char* kRLibraries[] = {
    "lib/R/library", "lib64/R/library", "lib/R/site-library",   "lib64/R/site-library",
    "library",       "site-library",    "share/R/site-library", "local/lib/R/site-library",
};

void AddDebParagraph(std::string_view paragraph, const std::string& location, PackageList& list) {
  const HeaderFields fields(paragraph);
  const std::string status = fields.Get("Status");
  // Distroless images have no Status: all that they list is there.
  if (!status.empty() && !status.ends_with(" installed")) return;
  Package package;
  package.kind = PackageKind::kDeb;
  package.name = fields.Get("Package");
  if (package.name.empty()) {
    list.unreadable.push_back(location);
    return;
  }
  package.version = fields.Get("Version");
  package.architecture = fields.Get("Architecture");
  package.location = location;
  list.packages.push_back(std::move(package));
}

}  // namespace

void AddRPackages(const std::string& tree, PackageList& list, const std::function<void()>& poll) {
  for (const std::string library : kRLibraries) {
    for (const std::string& name : NamesIn(tree + "/" + library)) {
      poll();
      const std::string location = library + "/" + name + "/DESCRIPTION";
      const auto text = ReadTreeFile(tree + "/" + location, kDescriptionLimit);
      if (!text) continue;  // "library" is a word that others use too
      const HeaderFields fields(*text);
      Package package;
      package.kind = PackageKind::kR;
      package.name = fields.Get("Package");
      package.version = fields.Get("Version");
      if (package.name.empty() || package.version.empty()) {
        list.unreadable.push_back(location);
        continue;
      }
      package.license = fields.Get("License");
      package.location = location;
      list.packages.push_back(std::move(package));
    }
  }
}

void AddDebPackages(const std::string& tree, PackageList& list, const std::function<void()>& poll) {
  const std::string dpkg = "var/lib/dpkg/";
  std::vector<std::string> locations{dpkg + "status"};
  for (const std::string& name : NamesIn(tree + "/" + dpkg + "status.d")) {
    if (!name.ends_with(".md5sums")) locations.push_back(dpkg + "status.d/" + name);
  }
  for (const std::string& location : locations) {
    const auto text = ReadTreeFile(tree + "/" + location, kStatusLimit);
    if (!text) continue;
    ForEachParagraph(*text, [&](std::string_view paragraph) {
      poll();
      AddDebParagraph(paragraph, location, list);
    });
  }
}

}  // namespace firn
