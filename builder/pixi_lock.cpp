#include "builder/pixi_lock.h"

#include <filesystem>
#include <map>
#include <utility>

#include "builder/lock_yaml.h"
#include "builder/utf8.h"
#include "format/error.h"

namespace firn {
namespace {

constexpr char kLockAgain[] = "Lock it again: pixi lock";

// Kind ("conda", "pypi") and place of a package, by which its entries are known.
using PixiKey = std::pair<std::string, std::string>;

PixiKey PixiKeyOf(const YAML::Node& entry) {
  for (const char* kind : {"conda", "pypi"}) {
    if (std::string place = ScalarOf(entry, kind); !place.empty()) return {kind, std::move(place)};
  }
  return {};
}

YAML::Node EntriesOf(const YAML::Node& lock, const std::string& path,
                     const std::string& environment, const std::string& platform) {
  const std::string version = ScalarOf(lock, "version");
  if (version != "6" && version != "7") {
    throw Error(ErrorKind::kInput,
                "expected a pixi.lock of version 6 or 7, found " +
                    (version.empty() ? "none" : "version " + EscapeForText(version)),
                kLockAgain)
        .WithPath(path);
  }
  YAML::Node node = lock;
  for (const std::string& key :
       {std::string("environments"), environment, std::string("packages"), platform}) {
    const YAML::Node next = node.IsMap() ? node[key] : YAML::Node();
    if (!next || next.IsNull()) {
      throw Error(ErrorKind::kInput,
                  "expected packages of the environment " + environment + " for " + platform +
                      ", found none",
                  "Add the platform: pixi workspace platform add " + platform)
          .WithPath(path);
    }
    node.reset(next);
  }
  return node;
}

// As a URL: a package may stand in a file beside the lock.
std::string UrlOf(const std::string& place, const std::string& path) {
  if (place.find("://") != std::string::npos) return place;
  const auto file = std::filesystem::absolute(path).parent_path() / place;
  return "file://" + file.lexically_normal().string();
}

void AddPixiPackage(const YAML::Node& package, const PixiKey& key, const std::string& path,
                    CondaLockPart& part) {
  const std::string url = UrlOf(key.second, path);
  const std::string md5 = ScalarOf(package, "md5");
  const std::string sha256 = ScalarOf(package, "sha256");
  const std::string name = ScalarOf(package, "name");
  if (key.first == "pypi" && !sha256.empty() && !name.empty()) {
    part.requirements += name + " @ " + url + " --hash=sha256:" + sha256 + "\n";
  } else if (key.first == "conda" && !(md5.empty() && sha256.empty())) {
    part.explicit_list += url + "#" + (md5.empty() ? "sha256:" + sha256 : md5) + "\n";
  } else {
    throw Error(ErrorKind::kInput,
                "expected a URL and a hash of each package, found '" + EscapeForText(key.second) +
                    "' without (line " + std::to_string(package.Mark().line + 1) + ")",
                "A package that pixi builds from a directory is none that is locked: build it, and "
                "name its file in the manifest.")
        .WithPath(path);
  }
}

}  // namespace

CondaLockPart ReadPixiLock(const std::string& text, const std::string& path,
                           const std::string& environment, const std::string& platform) {
  const YAML::Node lock = LoadLockYaml(text, path);
  const YAML::Node entries = EntriesOf(lock, path, environment, platform);
  std::map<PixiKey, YAML::Node> packages;
  for (const auto& item : lock["packages"]) {
    const YAML::Node package = item;
    packages.emplace(PixiKeyOf(package), package);
  }
  CondaLockPart part;
  for (const auto& item : entries) {
    const YAML::Node entry = item;
    const PixiKey key = PixiKeyOf(entry);
    const auto package = packages.find(key);
    if (key.first.empty() || package == packages.end()) {
      throw Error(ErrorKind::kInput,
                  "expected a package of the list `packages`, found another entry on line " +
                      std::to_string(entry.Mark().line + 1),
                  kLockAgain)
          .WithPath(path);
    }
    AddPixiPackage(package->second, key, path, part);
  }
  part.explicit_list.insert(0, "# platform: " + platform + "\n@EXPLICIT\n");
  return part;
}

}  // namespace firn
