#include "builder/conda_lock.h"

#include <sys/utsname.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "builder/lock_yaml.h"
#include "builder/source_parts.h"
#include "builder/utf8.h"
#include "format/error.h"

namespace firn {
namespace {

std::string Header(const std::string& platform) {
  return "# platform: " + platform + "\n@EXPLICIT\n";
}

[[noreturn]] void ThrowNoHash(const YAML::Node& package, const std::string& path) {
  throw Error(ErrorKind::kInput,
              "expected a URL and a hash of each package, found '" +
                  EscapeForText(ScalarOf(package, "name")) + "' without (line " +
                  std::to_string(package.Mark().line + 1) + ")",
              "Make the lock again: conda-lock lock")
      .WithPath(path);
}

void AddPackage(const YAML::Node& package, const std::string& path, CondaLockPart& part) {
  const std::string url = ScalarOf(package, "url");
  const YAML::Node hash = package["hash"];
  const std::string md5 = hash ? ScalarOf(hash, "md5") : "";
  const std::string sha256 = hash ? ScalarOf(hash, "sha256") : "";
  if (ScalarOf(package, "manager") == "pip") {
    if (url.empty() || sha256.empty()) ThrowNoHash(package, path);
    part.requirements +=
        ScalarOf(package, "name") + " @ " + url + " --hash=sha256:" + sha256 + "\n";
    return;
  }
  if (url.empty() || (md5.empty() && sha256.empty())) ThrowNoHash(package, path);
  part.explicit_list += url + "#" + (md5.empty() ? "sha256:" + sha256 : md5) + "\n";
}

}  // namespace

std::string FindUnlockedUrl(const std::string& text) {
  std::istringstream lines(text);
  size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (line.empty() || line.starts_with('#') || line.starts_with("@EXPLICIT")) continue;
    const size_t hash = line.find('#');
    std::string why;
    if (line.find("://") == std::string::npos) {
      why = "is no URL of a package";
    } else if (hash == std::string::npos || line.size() - hash < 33) {
      why = "has no hash behind a #";
    }
    if (!why.empty()) {
      return "line " + std::to_string(number) + ": '" + EscapeForText(line) + "' " + why;
    }
  }
  return {};
}

CondaLockPart ReadCondaLock(const std::string& text, const std::string& path,
                            const std::string& platform) {
  const YAML::Node lock = LoadLockYaml(text, path);
  if (!lock.IsMap() || !lock["package"] || !lock["package"].IsSequence()) {
    throw Error(ErrorKind::kInput, "expected a conda-lock file, found no list of packages",
                "Make one: conda-lock -f environment.yml -p " + platform)
        .WithPath(path);
  }
  CondaLockPart part;
  for (const auto& item : lock["package"]) {
    const YAML::Node package = item;
    const std::string category = ScalarOf(package, "category");
    if (ScalarOf(package, "platform") != platform) continue;
    if (!category.empty() && category != "main") continue;
    AddPackage(package, path, part);
  }
  if (part.explicit_list.empty()) {
    throw Error(ErrorKind::kInput, "expected packages for " + platform + ", found none",
                "Lock it for this machine too: conda-lock -f environment.yml -p " + platform)
        .WithPath(path);
  }
  part.explicit_list.insert(0, Header(platform));
  return part;
}

bool HasPipSection(const std::string& text, const std::string& path) {
  const YAML::Node environment = LoadLockYaml(text, path);
  if (!environment.IsMap() || !environment["dependencies"]) return false;
  const YAML::Node dependencies = environment["dependencies"];
  return dependencies.IsSequence() &&
         std::any_of(dependencies.begin(), dependencies.end(),
                     [](const auto& item) { return item.IsMap() && item["pip"]; });
}

std::string ListExplicit(const std::string& prefix, const std::string& platform) {
  std::vector<std::string> urls;
  for (const auto& entry : std::filesystem::directory_iterator(prefix + "/conda-meta")) {
    if (entry.path().extension() != ".json") continue;
    const std::string path = entry.path().string();
    try {
      const nlohmann::json package = nlohmann::json::parse(ReadSourceFile(path));
      urls.push_back(package.at("url").get<std::string>() + "#" +
                     package.at("md5").get<std::string>());
    } catch (const nlohmann::json::exception& error) {
      throw Error(ErrorKind::kInput,
                  "expected a package's URL and MD5, found none: " + std::string(error.what()))
          .WithPath(path);
    }
  }
  std::sort(urls.begin(), urls.end());
  std::string text = Header(platform);
  for (const std::string& url : urls) text += url + "\n";
  return text;
}

std::string CondaPlatform() {
  struct utsname name {};
  uname(&name);
  const std::string machine = name.machine;
  return "linux-" + (machine == "x86_64" ? std::string("64") : machine);
}

}  // namespace firn
