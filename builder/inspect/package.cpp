#include "builder/inspect/package.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "builder/inspect/json_text.h"
#include "format/error.h"

namespace firn {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::pair<PackageKind, std::string_view> kKindNames[] = {
    {PackageKind::kConda, "conda"},
    {PackageKind::kDeb, "deb"},
    {PackageKind::kPython, "python"},
    {PackageKind::kR, "r"},
};

// The texts of a package, by the key that each has in JSON, in this order.
constexpr std::pair<const char*, std::string Package::*> kTexts[] = {
    {"license", &Package::license},
    {"origin", &Package::origin},
    {"installer", &Package::installer},
    {"part_of", &Package::part_of},
    {"build", &Package::build},
    {"channel", &Package::channel},
    {"subdir", &Package::subdir},
    {"architecture", &Package::architecture},
    {"md5", &Package::md5},
    {"sha256", &Package::sha256},
    {"location", &Package::location},
};

Json PackageJson(const Package& package) {
  Json json = {{"kind", PackageKindName(package.kind)},
               {"name", package.name},
               {"version", package.version}};
  for (const auto& [key, member] : kTexts) {
    if (!(package.*member).empty()) json[key] = package.*member;
  }
  if (package.license_is_expression) json["license_is_expression"] = true;
  if (package.editable) json["editable"] = true;
  if (package.files > 0) json["files"] = package.files;
  return json;
}

Package PackageFromJson(const Json& json) {
  Package package;
  const std::string kind = TextAt(json, "kind");
  const auto known =
      std::ranges::find(kKindNames, kind, &std::pair<PackageKind, std::string_view>::second);
  package.name = TextAt(json, "name");
  if (known == std::end(kKindNames) || package.name.empty()) {
    throw DamagedError("section packages: expected a package with a kind and a name");
  }
  package.kind = known->first;
  package.version = TextAt(json, "version");
  for (const auto& [key, member] : kTexts) package.*member = TextAt(json, key);
  package.license_is_expression = FlagAt(json, "license_is_expression");
  package.editable = FlagAt(json, "editable");
  package.files = NumberAt(json, "files");
  return package;
}

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string Lowered(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), Lower);
  return lower;
}

}  // namespace

std::string_view PackageKindName(PackageKind kind) {
  return std::ranges::find(kKindNames, kind, &std::pair<PackageKind, std::string_view>::first)
      ->second;
}

void PackageList::Sort() {
  const auto key = [](const Package& package) {
    return std::tuple(package.kind, Lowered(package.name), package.name, package.version,
                      package.location);
  };
  std::ranges::sort(packages, {}, key);
  std::ranges::sort(unreadable);
}

std::string PackageList::ToJson() const {
  Json json = {{"format", 1}, {"packages", Json::array()}};
  for (const Package& package : packages) json["packages"].push_back(PackageJson(package));
  if (!unreadable.empty()) json["unreadable"] = unreadable;
  return JsonText(json);
}

PackageList PackageList::FromJson(std::string_view json) {
  const Json parsed = ParseSectionJson(json, "packages");
  PackageList list;
  for (const Json& package : ArrayAt(parsed, "packages")) {
    list.packages.push_back(PackageFromJson(package));
  }
  list.unreadable = TextsAt(parsed, "unreadable");
  return list;
}

std::string NormalizedPythonName(std::string_view name) {
  std::string normalized;
  for (const char c : name) {
    const bool separator = c == '-' || c == '_' || c == '.';
    if (separator && normalized.ends_with('-')) continue;
    normalized += separator ? '-' : Lower(c);
  }
  return normalized;
}

std::string WithoutSecrets(std::string_view url) {
  std::string clean(url);
  const size_t scheme = clean.find("://");
  if (scheme == std::string::npos) return clean;
  const size_t host = scheme + 3;
  const size_t host_end = std::min(clean.find('/', host), clean.size());
  const size_t at = clean.rfind('@', host_end);
  if (at != std::string::npos && at >= host && at < host_end) {
    // "git@" is how SSH is spoken to, and no secret.
    if (clean.compare(host, at - host, "git") != 0) clean.erase(host, at + 1 - host);
  }
  const size_t path = clean.find('/', host);
  if (path != std::string::npos && clean.compare(path, 3, "/t/") == 0) {
    const size_t token_end = clean.find('/', path + 3);
    if (token_end != std::string::npos) clean.erase(path, token_end - path);
  }
  return clean;
}

}  // namespace firn
