#include "builder/rules/clean.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "builder/rules/conda_meta.h"
#include "format/json_input.h"

namespace firn {
namespace {

using Json = nlohmann::ordered_json;

// Caches and locks that tools leave at the top of a prefix.
constexpr std::array<std::string_view, 5> kCaches{".cache", ".lock", ".conda_trash",
                                                  ".pytest_cache", ".mypy_cache"};

bool IsIn(const TreeEntry& entry, std::string_view directory_ending) {
  return ParentOf(entry.path).ends_with(directory_ending);
}

// "module" for "module.cpython-311.opt-1.pyc" of "cpython-311"; empty for what is no such file.
std::string ModuleOf(const std::string& cached) {
  if (!cached.ends_with(".pyc")) return {};
  std::string stem = cached.substr(0, cached.size() - 4);
  if (const size_t optimised = stem.rfind(".opt-"); optimised != std::string::npos) {
    stem.resize(optimised);
  }
  const size_t tag = stem.rfind('.');
  return tag == std::string::npos ? std::string() : stem.substr(0, tag);
}

// The packages that an installer could not remove, and left with another first character.
bool IsLeftOfUninstall(const TreeEntry& entry) {
  return NameOf(entry.path).starts_with('~') &&
         (IsIn(entry, "/site-packages") || IsIn(entry, "/dist-packages"));
}

// A compiled module that has no source, or another file of a cache, as numba's.
bool IsLeftBytecode(const RuleWork& work, const TreeEntry& entry) {
  if (entry.type != TreeEntry::Type::kRegular) return false;
  const std::string cache = ParentOf(entry.path);
  if (NameOf(cache) != "__pycache__") return false;
  const std::string module = ModuleOf(NameOf(entry.path));
  if (module.empty()) return true;
  const std::string parent = ParentOf(cache);
  return !work.TypeOf((parent.empty() ? "" : parent + "/") + module + ".py");
}

void RemoveCaches(RuleWork& work) {
  for (const std::string_view name : kCaches) work.Remove(std::string(name));
  // The package cache of a conda installation itself.
  if (work.TypeOf("conda-meta") && work.TypeOf("pkgs/urls.txt")) work.Remove("pkgs");
  std::vector<std::string> left;
  for (const TreeEntry& entry : work.Entries()) {
    if (!left.empty() && entry.path.starts_with(left.back() + "/")) continue;
    if (IsLeftOfUninstall(entry) || IsLeftBytecode(work, entry)) left.push_back(entry.path);
  }
  for (const std::string& path : left) work.Remove(path);
}

// PEP 610. A local path says where the builder had a file, which is nobody's business later; its
// name and digest stay. A project's directory may have any name: its distribution's stands for it.
void NormaliseOrigin(RuleWork& work, const std::string& path) {
  const std::optional<std::string> content = work.Read(path);
  Json origin = content ? ParseJson<Json>(*content) : Json();
  if (!origin.is_object() || !origin.contains("url") || !origin["url"].is_string()) return;
  const std::string url = origin["url"];
  if (!url.starts_with("file:")) return;
  const Json directory = origin.value("dir_info", Json::object());
  if (directory.is_object() && directory.value("editable", Json(false)) == Json(true)) {
    // Its modules are not in the tree.
    work.report.leftovers.push_back(path);
  }
  std::string plain = url;
  while (plain.ends_with('/')) plain.pop_back();
  const std::string distribution = NameOf(ParentOf(path));
  origin["url"] =
      "file:///" + (origin.contains("dir_info") ? distribution.substr(0, distribution.find('-'))
                                                : NameOf(plain));
  const std::string made = origin.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (made != *content) work.Write(path, made);
}

void NormaliseDistributions(RuleWork& work) {
  const std::vector<TreeEntry> files = work.Files(
      [](const TreeEntry& entry) { return IsIn(entry, ".dist-info") || IsIn(entry, ".egg-info"); });
  for (const TreeEntry& file : files) {
    const std::string name = NameOf(file.path);
    if (name == "uv_cache.json") work.Remove(file.path);
    if (name == "direct_url.json") NormaliseOrigin(work, file.path);
  }
}

bool IsPlainName(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

// A line of an activation script with `from` in its prompt as `to`: in parentheses, or as the whole
// value of VIRTUAL_ENV_PROMPT.
std::string WithPrompt(std::string line, const std::string& from, const std::string& to) {
  const std::string shown = "(" + from + ") ";
  if (const size_t at = line.find(shown); at != std::string::npos) {
    return line.replace(at + 1, from.size(), to);
  }
  const size_t at = line.rfind(from);
  if (line.find("VIRTUAL_ENV_PROMPT") == std::string::npos || at == std::string::npos || at == 0) {
    return line;
  }
  constexpr std::string_view kBefore = "\"'= ";
  const std::string after = line.substr(at + from.size());
  const bool whole = kBefore.find(line[at - 1]) != std::string_view::npos &&
                     (after.empty() || after == "\"" || after == "'");
  return whole ? line.replace(at, from.size(), to) : line;
}

// A venv's prompt is the name of the directory that it was made in; the image's is its own name.
void NormalisePrompt(RuleWork& work, const std::vector<std::string>& places) {
  const std::string to = IsPlainName(work.tree().image) ? work.tree().image : "firn";
  for (const char* script : {"bin/activate", "bin/activate.csh", "bin/activate.fish"}) {
    const std::optional<std::string> content = work.Read(script);
    if (!content) continue;
    std::string made;
    for (size_t at = 0; at < content->size();) {
      const size_t end = std::min(content->find('\n', at), content->size());
      std::string line = content->substr(at, end - at);
      for (const std::string& place : places) {
        const std::string changed = WithPrompt(line, NameOf(place), to);
        if (changed == line) continue;
        line = changed;
        break;
      }
      made += line + (end < content->size() ? "\n" : "");
      at = end + 1;
    }
    if (made != *content) work.Write(script, made);
  }
}

}  // namespace

void CleanTree(RuleWork& work, const std::vector<std::string>& places) {
  NormalisePrompt(work, places);
  RemoveCaches(work);
  NormaliseDistributions(work);
  NormaliseCondaHistory(work);
}

}  // namespace firn
