#include "builder/export/lock_pins.h"

#include <algorithm>
#include <sstream>
#include <string_view>

#include "builder/inspect/package.h"
#include "builder/toml_input.h"
#include "format/error.h"

namespace firn {
namespace {

constexpr std::string_view kSha256 = "sha256:";

using TomlView = toml::node_view<const toml::node>;

std::string TomlText(TomlView table, std::string_view key) {
  return table[key].value_or(std::string());
}

bool IsSha256(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// uv writes `hash = "sha256:…"`, a pylock.toml `hashes = {sha256 = "…"}`.
void AddFile(TomlView file, bool is_sdist, LockPin& pin) {
  LockPin::File entry{.url = TomlText(file, "url"),
                      .name = TomlText(file, "name"),
                      .sha256 = TomlText(file["hashes"], "sha256"),
                      .is_sdist = is_sdist};
  const std::string hash = TomlText(file, "hash");
  if (entry.sha256.empty() && hash.starts_with(kSha256)) {
    entry.sha256 = hash.substr(kSha256.size());
  }
  if (IsSha256(entry.sha256)) pin.files.push_back(std::move(entry));
}

void ReadToml(const StoredLock& lock, LockPins& pins) {
  const toml::table document = ParseToml(lock.content, lock.name);
  const toml::array* const packages =
      document[lock.name == "uv.lock" ? "package" : "packages"].as_array();
  if (packages == nullptr) return;
  for (const toml::node& node : *packages) {
    const TomlView package(node);
    LockPin& pin =
        pins[{NormalizedPythonName(TomlText(package, "name")), TomlText(package, "version")}];
    if (const toml::array* const wheels = package["wheels"].as_array()) {
      for (const toml::node& wheel : *wheels) AddFile(TomlView(wheel), false, pin);
    }
    AddFile(package["sdist"], true, pin);
  }
}

// "name[extra]==version ; marker \" and lines of "--hash=sha256:…".
void ReadRequirements(const StoredLock& lock, LockPins& pins) {
  std::istringstream lines(lock.content);
  LockPin* pin = nullptr;
  for (std::string line; std::getline(lines, line);) {
    const size_t equals = line.find("==");
    if (!line.empty() && line[0] != ' ' && line[0] != '\t') pin = nullptr;
    if (pin == nullptr && equals != std::string::npos && line[0] != '#') {
      const std::string name = line.substr(0, line.find_first_of(" [=", 0));
      const size_t end = line.find_first_of(" ;\\\t\r", equals + 2);
      pin = &pins[{NormalizedPythonName(name),
                   line.substr(equals + 2, std::min(end, line.size()) - equals - 2)}];
    }
    constexpr std::string_view kHash = "--hash=sha256:";
    for (size_t at = 0; pin != nullptr && (at = line.find(kHash, at)) != std::string::npos;) {
      at += kHash.size();
      const std::string hash = line.substr(at, 64);
      if (IsSha256(hash)) pin->files.push_back({.url = {}, .name = {}, .sha256 = hash});
    }
  }
}

}  // namespace

LockPins ReadLockPins(const std::vector<StoredLock>& locks, std::vector<std::string>& warnings) {
  LockPins pins;
  for (const StoredLock& lock : locks) {
    const std::string unread =
        "the lock file " + lock.name + " is no TOML; its hashes are left out";
    try {
      if (lock.name == "uv.lock" ||
          (lock.name.starts_with("pylock") && lock.name.ends_with(".toml"))) {
        ReadToml(lock, pins);
      } else if (lock.name.ends_with(".txt")) {
        ReadRequirements(lock, pins);
      }
    } catch (const Error&) {
      warnings.push_back(unread);
    }
  }
  for (auto& [key, pin] : pins) {
    std::ranges::sort(pin.files, {}, &LockPin::File::sha256);
    const auto same = std::ranges::unique(pin.files, {}, &LockPin::File::sha256);
    pin.files.erase(same.begin(), same.end());
  }
  return pins;
}

}  // namespace firn
