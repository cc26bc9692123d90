#include "builder/inspect/needs.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "builder/inspect/json_text.h"

namespace firn {
namespace {

using Json = nlohmann::ordered_json;

void PutNeededBy(Json& json, const NeededBy& needed_by) {
  json["files"] = needed_by.files;
  json["needed_by"] = needed_by.paths;
}

NeededBy TakeNeededBy(const Json& json) {
  return {.paths = TextsAt(json, "needed_by"), .files = NumberAt(json, "files")};
}

Json LibraryJson(const HostNeeds::HostLibrary& library) {
  Json json = {{"name", library.name}};
  for (const auto& [kind, version] : library.versions) {
    json["versions"][kind] = {{"version", version.version}, {"needed_by", version.needed_by}};
  }
  PutNeededBy(json, library.needed_by);
  return json;
}

HostNeeds::HostLibrary LibraryFromJson(const Json& json) {
  HostNeeds::HostLibrary library;
  library.name = TextAt(json, "name");
  for (const auto& [kind, version] : ObjectAt(json, "versions").items()) {
    library.versions[kind] = {TextAt(version, "version"), TextAt(version, "needed_by")};
  }
  library.needed_by = TakeNeededBy(json);
  return library;
}

void PutHostNeeds(Json& json, const HostNeeds& needs) {
  if (needs.x86_64_level > 0) {
    json["x86_64_level"] = {{"level", needs.x86_64_level},
                            {"needed_by", needs.x86_64_level_needed_by}};
  }
  json["interpreters"] = Json::array();
  for (const HostNeeds::Interpreter& interpreter : needs.interpreters) {
    Json entry = {{"path", interpreter.path}, {"in_image", interpreter.in_image}};
    PutNeededBy(entry, interpreter.needed_by);
    json["interpreters"].push_back(std::move(entry));
  }
  json["host_libraries"] = Json::array();
  for (const HostNeeds::HostLibrary& library : needs.host_libraries) {
    json["host_libraries"].push_back(LibraryJson(library));
  }
}

void TakeHostNeeds(const Json& json, HostNeeds& needs) {
  const Json& level = ObjectAt(json, "x86_64_level");
  needs.x86_64_level = static_cast<int>(std::min<uint64_t>(NumberAt(level, "level"), 9));
  needs.x86_64_level_needed_by = TextAt(level, "needed_by");
  for (const Json& entry : ArrayAt(json, "interpreters")) {
    needs.interpreters.push_back(
        {TextAt(entry, "path"), FlagAt(entry, "in_image"), TakeNeededBy(entry)});
  }
  for (const Json& entry : ArrayAt(json, "host_libraries")) {
    needs.host_libraries.push_back(LibraryFromJson(entry));
  }
}

std::string_view TakePart(std::string_view& version) {
  const size_t end = std::min(version.find('.'), version.size());
  const std::string_view part = version.substr(0, end);
  version.remove_prefix(std::min(end + 1, version.size()));
  return part;
}

bool IsNumber(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
}

}  // namespace

void NeededBy::Add(const std::string& path) {
  ++files;
  if (paths.size() < kNamed) paths.push_back(path);
}

bool VersionLess(std::string_view a, std::string_view b) {
  while (!a.empty() && !b.empty()) {
    std::string_view x = TakePart(a), y = TakePart(b);
    if (x == y) continue;
    if (!IsNumber(x) || !IsNumber(y)) return x < y;
    x.remove_prefix(std::min(x.find_first_not_of('0'), x.size()));
    y.remove_prefix(std::min(y.find_first_not_of('0'), y.size()));
    if (x != y) return std::pair(x.size(), x) < std::pair(y.size(), y);
  }
  return a.empty() && !b.empty();
}

std::pair<std::string, std::string> SplitSymbolVersion(const std::string& name) {
  const size_t mark = name.rfind('_');
  const bool has_number = mark != std::string::npos && mark + 1 < name.size() &&
                          name[mark + 1] >= '0' && name[mark + 1] <= '9';
  if (!has_number) return {name, {}};
  return {name.substr(0, mark), name.substr(mark + 1)};
}

Needs::Version Needs::Highest(const std::string& kind) const {
  Version highest;
  for (const HostLibrary& library : host_libraries) {
    const auto found = library.versions.find(kind);
    if (found == library.versions.end()) continue;
    if (VersionLess(highest.version, found->second.version)) highest = found->second;
  }
  return highest;
}

std::string Needs::ToJson() const {
  Json json = {{"format", 1}, {"elf_files", files}};
  if (!architecture.empty()) json["architecture"] = architecture;
  if (!other_architectures.empty()) json["other_architectures"] = other_architectures;
  for (const std::string kind : {"GLIBC", "GLIBCXX", "CXXABI"}) {
    const Version highest = Highest(kind);
    if (highest.version.empty()) continue;
    json["versions"][kind] = {{"version", highest.version}, {"needed_by", highest.needed_by}};
  }
  PutHostNeeds(json, *this);
  json["image_libraries"] = image_libraries;
  json["unsearched"] = Json::array();
  for (const ImageLibrary& library : unsearched) {
    Json entry = {{"name", library.name}, {"path", library.path}};
    PutNeededBy(entry, library.needed_by);
    json["unsearched"].push_back(std::move(entry));
  }
  json["damaged"] = Json::object();
  PutNeededBy(json["damaged"], damaged);
  json["required"] = {{"main_programs", main_programs}};
  PutHostNeeds(json["required"], required);
  return JsonText(json);
}

Needs Needs::FromJson(std::string_view text) {
  const Json json = ParseSectionJson(text, "needs");
  Needs needs;
  needs.files = NumberAt(json, "elf_files");
  needs.architecture = TextAt(json, "architecture");
  const Json& others = ObjectAt(json, "other_architectures");
  for (const auto& [name, count] : others.items()) {
    needs.other_architectures[name] = NumberAt(others, name.c_str());
  }
  TakeHostNeeds(json, needs);
  needs.image_libraries = TextsAt(json, "image_libraries");
  for (const Json& entry : ArrayAt(json, "unsearched")) {
    needs.unsearched.push_back({TextAt(entry, "name"), TextAt(entry, "path"), TakeNeededBy(entry)});
  }
  needs.damaged = TakeNeededBy(ObjectAt(json, "damaged"));
  const Json& required = ObjectAt(json, "required");
  needs.main_programs = TextsAt(required, "main_programs");
  TakeHostNeeds(required, needs.required);
  return needs;
}

}  // namespace firn
