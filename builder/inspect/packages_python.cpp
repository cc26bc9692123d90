#include "builder/inspect/packages_python.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "builder/inspect/header_fields.h"
#include "builder/inspect/json_text.h"
#include "builder/inspect/tree_file.h"
#include "format/json_input.h"

namespace firn {
namespace {

// The fields stand in front; what is behind them is a description of any length.
constexpr uint64_t kMetadataLimit = uint64_t{4} << 20;
constexpr uint64_t kRecordLimit = uint64_t{64} << 20;
// A `License` may be the whole text of one.
constexpr size_t kMaxLicense = 120;

bool EndsInAnyCase(std::string_view name, std::string_view end) {
  if (name.size() < end.size()) return false;
  return std::ranges::equal(name.substr(name.size() - end.size()), end, [](char a, char b) {
    return a == b || (a >= 'A' && a <= 'Z' && a - 'A' + 'a' == b);
  });
}

// Below the prefix, where a Python in it looks: lib/python3.11/site-packages, Debian's
// lib/python3/dist-packages and local/lib/python3.11/dist-packages. Each directory once, though
// symlinks give it several names (lib64, Debian's local/).
std::vector<std::string> PackageDirectories(const std::string& tree) {
  std::vector<std::string> directories;
  std::set<std::filesystem::path> seen;
  for (const std::string lib : {"lib", "lib64", "local/lib", "local/lib64"}) {
    for (const std::string& name : NamesIn(tree + "/" + lib)) {
      if (!name.starts_with("python3") && !name.starts_with("pypy3")) continue;
      for (const char* kind : {"/dist-packages", "/site-packages"}) {
        const std::string directory = lib + "/" + name + kind;
        std::error_code error;
        const auto real = std::filesystem::canonical(tree + "/" + directory, error);
        if (!error && std::filesystem::is_directory(real, error) && seen.insert(real).second) {
          directories.push_back(directory);
        }
      }
    }
  }
  return directories;
}

// Where the fields of a distribution stand that has this entry of a package directory; nullopt
// for an entry that is none.
std::optional<std::string> MetadataPath(const std::string& tree, const std::string& entry) {
  const std::string_view name = std::string_view(entry).substr(entry.rfind('/') + 1);
  // "~umpy-1.0.dist-info" is what pip leaves of an uninstallation that failed.
  if (name.starts_with('~')) return std::nullopt;
  std::error_code ignored;
  if (EndsInAnyCase(name, ".dist-info")) return entry + "/METADATA";
  if (EndsInAnyCase(name, ".egg-info")) {
    const bool directory = std::filesystem::is_directory(tree + "/" + entry, ignored);
    return directory ? entry + "/PKG-INFO" : entry;
  }
  if (EndsInAnyCase(name, ".egg") && std::filesystem::is_directory(tree + "/" + entry, ignored)) {
    return entry + "/EGG-INFO/PKG-INFO";
  }
  return std::nullopt;
}

// "License :: OSI Approved :: MIT License" says "MIT License".
std::string LicenseOfClassifiers(const HeaderFields& fields) {
  std::string license;
  for (const std::string& classifier : fields.GetAll("Classifier")) {
    if (!classifier.starts_with("License ::")) continue;
    const std::string name(Trimmed(std::string_view(classifier).substr(classifier.rfind(':') + 1)));
    if (name == "OSI Approved") continue;
    license += (license.empty() ? "" : ", ") + name;
  }
  return license;
}

void TakeLicense(const HeaderFields& fields, Package& package) {
  package.license = fields.Get("License-Expression");
  package.license_is_expression = !package.license.empty();
  if (package.license_is_expression) return;
  package.license = fields.Get("License");
  const bool whole_text =
      package.license.size() > kMaxLicense || package.license.find('\n') != std::string::npos;
  if (!package.license.empty() && package.license != "UNKNOWN" && !whole_text) return;
  const std::string by_classifiers = LicenseOfClassifiers(fields);
  if (!by_classifiers.empty() || !whole_text) {
    package.license = by_classifiers;
  } else {
    package.license.resize(std::min(package.license.find('\n'), kMaxLicense));
  }
}

// A path of the machine that built says nothing elsewhere, and would differ from build to build:
// the name of the file is kept.
std::string OriginOf(const std::string& url) {
  if (url.starts_with("file:")) {
    const size_t end = url.find_last_not_of('/');
    return "file:" + url.substr(url.rfind('/', end) + 1, end - url.rfind('/', end));
  }
  return WithoutSecrets(url);
}

void TakeDirectUrl(const std::string& text, Package& package) {
  const auto json = ParseJson<nlohmann::ordered_json>(text);
  const auto& vcs = ObjectAt(json, "vcs_info");
  const auto& archive = ObjectAt(json, "archive_info");
  package.origin = OriginOf(TextAt(json, "url"));
  const std::string commit = TextAt(vcs, "commit_id");
  if (!commit.empty()) package.origin = TextAt(vcs, "vcs") + "+" + package.origin + "@" + commit;
  package.sha256 = TextAt(ObjectAt(archive, "hashes"), "sha256");
  const std::string hash = TextAt(archive, "hash");
  if (package.sha256.empty() && hash.starts_with("sha256=")) package.sha256 = hash.substr(7);
  package.editable = FlagAt(ObjectAt(json, "dir_info"), "editable");
}

uint64_t CountLines(std::string_view text) {
  const auto ends = static_cast<uint64_t>(std::ranges::count(text, '\n'));
  return ends + (text.empty() || text.ends_with('\n') ? 0 : 1);
}

// Names and versions that a directory has.
using SeenVersions = std::set<std::pair<std::string, std::string>>;

void AddEntry(const std::string& tree, const std::string& entry, SeenVersions& seen,
              PackageList& list) {
  const std::optional<std::string> metadata = MetadataPath(tree, entry);
  if (!metadata) return;
  const std::string text = ReadTreeFile(tree + "/" + *metadata, kMetadataLimit).value_or("");
  const HeaderFields fields(text);
  Package package;
  package.name = fields.Get("Name");
  if (package.name.empty()) {
    list.unreadable.push_back(*metadata);
    return;
  }
  package.version = fields.Get("Version");
  // Debian has packages with both a dist-info, which stands first, and an egg-info.
  if (!seen.emplace(NormalizedPythonName(package.name), package.version).second) return;
  package.location = *metadata;
  TakeLicense(fields, package);
  if (metadata->ends_with("/METADATA")) {
    const std::string directory = tree + "/" + entry;
    package.installer =
        Trimmed(ReadTreeFile(directory + "/INSTALLER", kMaxLicense).value_or(std::string()));
    const auto url = ReadTreeFile(directory + "/direct_url.json", kMetadataLimit);
    if (url) TakeDirectUrl(*url, package);
    package.files = CountLines(ReadTreeFile(directory + "/RECORD", kRecordLimit).value_or(""));
  }
  list.packages.push_back(std::move(package));
}

}  // namespace

void AddPythonPackages(const std::string& tree, PackageList& list,
                       const std::function<void()>& poll) {
  for (const std::string& directory : PackageDirectories(tree)) {
    SeenVersions seen;
    for (const std::string& name : NamesIn(tree + "/" + directory)) {
      poll();
      AddEntry(tree, directory + "/" + name, seen, list);
    }
  }
}

}  // namespace firn
