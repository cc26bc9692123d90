#include "builder/rules/leftovers.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "builder/rules/file_search.h"
#include "builder/utf8.h"
#include "format/error.h"

namespace firn {
namespace {

constexpr size_t kMostShown = 10;

bool Contains(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

void SortUnique(std::vector<std::string>& list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
}

// An absolute symlink leads out of the image.
void FindLinks(RuleWork& work, const std::vector<std::string>& strange) {
  for (const TreeEntry& entry : work.Entries()) {
    if (entry.type != TreeEntry::Type::kSymlink) continue;
    const std::string target = LinkTarget(work.At(entry.path));
    const bool names = std::any_of(strange.begin(), strange.end(), [&](const std::string& place) {
      return target == place || target.starts_with(place + "/");
    });
    if (names) work.report.leftovers.push_back(entry.path);
  }
}

[[noreturn]] void Refuse(const RuleWork& work) {
  std::string list;
  for (size_t i = 0; i < std::min(kMostShown, work.report.leftovers.size()); ++i) {
    list += "\n  " + EscapeForText(work.report.leftovers[i]);
  }
  if (work.report.leftovers.size() > kMostShown) list += "\n  and others";
  throw Error(ErrorKind::kInput,
              "expected no file to name a path of the build, found " +
                  std::to_string(work.report.leftovers.size()) + ":" + list,
              "Mend or exclude them, or build without --strict.")
      .WithPath(work.tree().original);
}

}  // namespace

bool IsBoundByPrefix(const std::string& path) {
  constexpr std::array<std::string_view, 6> kEndings{".pc", ".la",  ".cmake",
                                                     ".h",  ".prl", "-config"};
  const std::string name = NameOf(path);
  const std::string parent = NameOf(ParentOf(path));
  const bool of_a_build =
      std::any_of(kEndings.begin(), kEndings.end(),
                  [&](std::string_view ending) { return name.ends_with(ending); }) ||
      name == "Makefile" || name.starts_with("_sysconfig") ||
      (name.starts_with("python") && name.find("config") != std::string::npos);
  const bool of_an_installer = path.starts_with("conda-meta/") || parent.ends_with(".dist-info") ||
                               parent.ends_with(".egg-info") || name == ".gitignore" ||
                               name == "EXTERNALLY-MANAGED";
  return !of_a_build && !of_an_installer;
}

void ReportLeftovers(RuleWork& work, const std::vector<std::string>& places) {
  // What is ours comes first, the rest should not be there.
  std::vector<std::string> sought{work.prefix()};
  if (work.tree().path != work.prefix()) sought.push_back(work.tree().path);
  const size_t own = sought.size();
  for (const std::string& place : places) {
    if (!Contains(sought, place)) sought.push_back(place);
  }
  for (const std::string& place : work.tree().build_places) {
    if (!Contains(sought, place)) sought.push_back(place);
  }
  for (const std::string& base : work.report.base_python) {
    if (base != "/usr" && base != "/usr/local" && !Contains(sought, base)) sought.push_back(base);
  }
  const std::vector<std::string> strange(sought.begin() + static_cast<ptrdiff_t>(own),
                                         sought.end());
  for (const FileHit& hit : SearchFiles(work, sought)) {
    const bool names_own = hit.paths.front() < own;
    if (hit.paths.back() >= own) work.report.leftovers.push_back(hit.file.path);
    if (names_own && IsBoundByPrefix(hit.file.path)) work.report.bound.push_back(hit.file.path);
  }
  FindLinks(work, strange);
  SortUnique(work.report.bound);
  SortUnique(work.report.leftovers);
  if (work.rules().strict && !work.report.leftovers.empty()) Refuse(work);
}

}  // namespace firn
