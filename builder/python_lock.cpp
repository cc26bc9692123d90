#include "builder/python_lock.h"

#include <cctype>
#include <sstream>
#include <string_view>

#include "builder/toml_input.h"
#include "builder/utf8.h"
#include "format/error.h"

namespace firn {
namespace {

constexpr std::string_view kUvHash = "hash";

[[noreturn]] void ThrowNoHash(const std::string& path, const std::string& package,
                              const toml::node& file) {
  throw Error(ErrorKind::kInput,
              "expected a hash of each file, found one of the package '" + EscapeForText(package) +
                  "' without (line " + std::to_string(file.source().begin.line) + ")",
              "Make the lock again with the tool that wrote it.")
      .WithPath(path);
}

// The file's table has, under `key`, something that is a hash: a text or a table that is not empty.
bool HasHash(const toml::node& file, std::string_view key) {
  const toml::table* const table = file.as_table();
  if (table == nullptr) return false;
  const toml::node* const hash = table->get(key);
  // Files of this machine (uv's find-links) are locked by their path.
  if (hash == nullptr) return key == kUvHash && table->contains("path");
  if (const toml::table* const hashes = hash->as_table()) return !hashes->empty();
  return !hash->value_or(std::string()).empty();
}

// Files of a package in a lock: `wheels` (a list), `sdist` and, in pylock.toml, `archive`.
void CheckFiles(const toml::table& package, const std::string& name, std::string_view key,
                const std::string& path) {
  if (const toml::array* const wheels = package["wheels"].as_array()) {
    for (const toml::node& wheel : *wheels) {
      if (!HasHash(wheel, key)) ThrowNoHash(path, name, wheel);
    }
  }
  for (const std::string_view kind : {"sdist", "archive"}) {
    const toml::node* const file = package.get(kind);
    if (file != nullptr && !HasHash(*file, key)) ThrowNoHash(path, name, *file);
  }
}

LockedPackages ReadPackages(const toml::table& lock, std::string_view list, std::string_view key,
                            const std::string& path) {
  LockedPackages locked;
  const toml::array* const packages = lock[list].as_array();
  if (packages == nullptr) return locked;
  for (const toml::node& node : *packages) {
    const toml::table* const package = node.as_table();
    if (package == nullptr) continue;
    const std::string name = (*package)["name"].value_or(std::string());
    // Packages in a directory have no files to be locked.
    const bool is_local = package->contains("directory") || (*package)["source"]["editable"] ||
                          (*package)["source"]["directory"] || (*package)["source"]["virtual"];
    if (is_local) continue;
    CheckFiles(*package, name, key, path);
    const toml::array* const wheels = (*package)["wheels"].as_array();
    if (wheels == nullptr || wheels->empty()) locked.sdist_only.push_back(name);
  }
  return locked;
}

struct Requirement {
  size_t line = 0;
  std::string text;  // with continued lines joined, without comment
};

std::vector<Requirement> SplitRequirements(const std::string& text) {
  std::vector<Requirement> requirements;
  std::istringstream lines(text);
  size_t number = 0;
  bool continues = false;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    const size_t comment = line.starts_with('#') ? 0 : line.find(" #");
    if (comment != std::string::npos) line.resize(comment);
    if (!continues) requirements.push_back({number, {}});
    continues = !line.empty() && line.back() == '\\';
    if (continues) line.back() = ' ';
    requirements.back().text += line;
  }
  return requirements;
}

std::string Trimmed(const std::string& text) {
  const size_t start = text.find_first_not_of(" \t");
  if (start == std::string::npos) return {};
  return text.substr(start, text.find_last_not_of(" \t") - start + 1);
}

// Why an option, which is no requirement, has no place in a lock; empty where it has.
std::string WhyNotOption(const std::string& text) {
  for (const std::string_view option : {"-r", "--requirement", "-c", "--constraint"}) {
    if (text.starts_with(option)) return "'" + EscapeForText(text) + "' names another file";
  }
  for (const std::string_view option : {"-e", "--editable"}) {
    if (text.starts_with(option)) return "'" + EscapeForText(text) + "' is an editable directory";
  }
  return {};
}

}  // namespace

LockedPackages ReadPylock(const std::string& text, const std::string& path) {
  const toml::table lock = ParseToml(text, path);
  if (!lock.contains("lock-version")) {
    throw Error(ErrorKind::kInput, "expected a lock by PEP 751, found no lock-version",
                "Make one, for example with: uv export --format pylock.toml -o pylock.toml")
        .WithPath(path);
  }
  return ReadPackages(lock, "packages", "hashes", path);
}

LockedPackages ReadUvLock(const std::string& text, const std::string& path) {
  return ReadPackages(ParseToml(text, path), "package", kUvHash, path);
}

std::string FindUnlockedRequirement(const std::string& text) {
  for (const Requirement& requirement : SplitRequirements(text)) {
    const std::string line = Trimmed(requirement.text);
    std::string why;
    if (line.starts_with('-')) {
      why = WhyNotOption(line);
    } else if (!line.empty() && line.find("--hash=") == std::string::npos) {
      why = "'" + EscapeForText(line) + "' has no --hash";
    }
    if (!why.empty()) return "line " + std::to_string(requirement.line) + ": " + why;
  }
  return {};
}

std::string NormalPackageName(const std::string& name) {
  std::string normal;
  for (const char c : name) {
    const bool is_separator = c == '-' || c == '_' || c == '.';
    if (is_separator && normal.ends_with('_')) continue;
    normal += is_separator ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return normal;
}

}  // namespace firn
