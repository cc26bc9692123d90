#include "builder/export/package_formats.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "firn_version.h"
#include "format/error.h"

namespace firn {
namespace {

constexpr std::array<std::string_view, 4> kInstallers{"distribute", "pip", "setuptools", "wheel"};

// Text of TOML and YAML, which have JSON's escapes: control characters of an image's words do no
// harm to a line.
std::string Quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

// What an image says goes into files that tools act upon: only what is a name or a version, and no
// option, comment or second line.
bool IsPlain(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("._-+!").find(c) != std::string_view::npos;
  }) && text.front() != '-';
}

bool IsPlainUrl(std::string_view url) {
  return url.find("://") != url.npos && std::ranges::all_of(url, [](char c) {
           return c > ' ' && c < '\x7f' && c != '"' && c != '\\';
         });
}

const LockPin* PinOf(const Package& package, const LockPins& pins) {
  const auto found = pins.find({NormalizedPythonName(package.name), package.version});
  return found == pins.end() ? nullptr : &found->second;
}

// The Python packages that can be named, in the list's order.
std::vector<const Package*> PythonPackages(const PackageList& list, const LockPins& pins,
                                           std::vector<std::string>& warnings) {
  std::vector<const Package*> packages;
  for (const Package& package : list.packages) {
    if (package.kind != PackageKind::kPython) continue;
    const bool is_installer =
        std::ranges::find(kInstallers, NormalizedPythonName(package.name)) != kInstallers.end();
    if (is_installer && PinOf(package, pins) == nullptr) continue;
    const bool local = package.editable || package.origin.starts_with("file:") ||
                       package.origin.find("+file:") != std::string::npos;
    if (!IsPlain(package.name) || !IsPlain(package.version)) {
      warnings.push_back(package.location + " has no usable name or version; left out");
    } else if (local) {
      warnings.push_back(package.name + " " + package.version +
                         " came from a directory or file of the machine that built; left out");
    } else {
      packages.push_back(&package);
    }
  }
  return packages;
}

std::string HashesText(const LockPin& pin) {
  std::string text;
  for (const LockPin::File& file : pin.files) text += " \\\n    --hash=sha256:" + file.sha256;
  return text;
}

std::string PylockFile(const LockPin::File& file) {
  std::string text = "{ ";
  if (!file.name.empty()) text += "name = " + Quoted(file.name) + ", ";
  return text + "url = " + Quoted(file.url) + ", hashes = { sha256 = " + Quoted(file.sha256) +
         " } }";
}

std::string PylockSource(const Package& package, const LockPin* pin) {
  std::string wheels, text;
  for (const LockPin::File& file : pin == nullptr ? std::vector<LockPin::File>() : pin->files) {
    if (file.url.empty()) continue;
    if (file.is_sdist) {
      text = "sdist = " + PylockFile(file) + "\n";
    } else {
      wheels += "    " + PylockFile(file) + ",\n";
    }
  }
  if (!wheels.empty()) text += "wheels = [\n" + wheels + "]\n";
  const size_t plus = package.origin.find('+'), at = package.origin.rfind('@');
  if (!text.empty() || !IsPlainUrl(package.origin)) return text;
  if (plus != std::string::npos && plus < package.origin.find("://") && at != std::string::npos) {
    return "vcs = { type = " + Quoted(package.origin.substr(0, plus)) +
           ", url = " + Quoted(package.origin.substr(plus + 1, at - plus - 1)) +
           ", commit-id = " + Quoted(package.origin.substr(at + 1)) + " }\n";
  }
  if (package.sha256.empty()) return {};
  return "archive = { url = " + Quoted(package.origin) +
         ", hashes = { sha256 = " + Quoted(package.sha256) + " } }\n";
}

std::string ChannelName(const std::string& channel) {
  constexpr std::string_view kUsual = "https://conda.anaconda.org/";
  return channel.starts_with(kUsual) ? channel.substr(kUsual.size()) : channel;
}

}  // namespace

std::string RequirementsText(const PackageList& list, const LockPins& pins,
                             std::vector<std::string>& warnings) {
  std::string text;
  std::vector<std::string> without;
  bool with_hashes = false;
  for (const Package* package : PythonPackages(list, pins, warnings)) {
    const LockPin* pin = PinOf(*package, pins);
    const std::string hashes = pin == nullptr ? std::string() : HashesText(*pin);
    if (IsPlainUrl(package->origin)) {
      text += package->name + " @ " + package->origin + "\n";
      without.push_back(package->name);
      continue;
    }
    text += package->name + "==" + package->version + hashes + "\n";
    with_hashes = with_hashes || !hashes.empty();
    if (hashes.empty()) without.push_back(package->name);
  }
  // pip takes hashes for all, or for none.
  for (const std::string& name : with_hashes ? without : std::vector<std::string>()) {
    warnings.push_back("no lock file has a hash for " + name + ", which pip will ask for");
  }
  return text;
}

std::string PylockText(const PackageList& list, const LockPins& pins,
                       std::vector<std::string>& warnings) {
  std::string text = "lock-version = \"1.0\"\ncreated-by = \"firn " FIRN_VERSION "\"\n";
  for (const Package* package : PythonPackages(list, pins, warnings)) {
    const std::string source = PylockSource(*package, PinOf(*package, pins));
    text += "\n[[packages]]\nname = " + Quoted(NormalizedPythonName(package->name)) +
            "\nversion = " + Quoted(package->version) + "\n" + source;
    if (source.empty()) {
      warnings.push_back("no lock file says where " + package->name + " " + package->version +
                         " is to be had: installers will refuse its entry");
    }
  }
  return text;
}

std::string EnvironmentYaml(const PackageList& list, const std::string& name,
                            const std::string& python, std::vector<std::string>& warnings) {
  std::string conda, pip;
  std::vector<std::string> channels;
  for (const Package& package : list.packages) {
    if (package.kind != PackageKind::kConda) continue;
    if (!IsPlain(package.name) || !IsPlain(package.version)) {
      warnings.push_back(package.location + " has no usable name or version; left out");
      continue;
    }
    std::string spec = package.name + "=" + package.version;
    if (!package.build.empty()) spec += "=" + package.build;
    conda += "  - " + Quoted(spec) + "\n";
    const std::string channel = ChannelName(package.channel);
    if (!channel.empty() && std::ranges::find(channels, channel) == channels.end()) {
      channels.push_back(channel);
    }
  }
  for (const Package* package : PythonPackages(list, {}, warnings)) {
    if (!package->part_of.empty()) continue;
    pip += "      - " +
           Quoted(IsPlainUrl(package->origin) ? package->name + " @ " + package->origin
                                              : package->name + "==" + package->version) +
           "\n";
  }
  if (conda.empty()) {
    channels = {"conda-forge"};
    conda = "  - " + Quoted(python.empty() ? "python" : "python=" + python) + "\n";
    if (!pip.empty()) conda += "  - \"pip\"\n";
  }
  std::string text = "name: " + Quoted(name) + "\nchannels:\n";
  for (const std::string& channel : channels) text += "  - " + Quoted(channel) + "\n";
  text += "dependencies:\n" + conda;
  return pip.empty() ? text : text + "  - pip:\n" + pip;
}

// Some installers record one hash, some the other.
std::string HashMark(const Package& package) {
  if (IsPlain(package.md5)) return "#" + package.md5;
  return IsPlain(package.sha256) ? "#sha256:" + package.sha256 : std::string();
}

std::string ExplicitText(const PackageList& list, std::vector<std::string>& warnings) {
  std::string text = "@EXPLICIT\n";
  bool any = false;
  for (const Package& package : list.packages) {
    if (package.kind == PackageKind::kPython && package.part_of.empty()) {
      warnings.push_back(package.name + " " + package.version + " is no conda package; left out");
    }
    if (package.kind != PackageKind::kConda) continue;
    if (!IsPlainUrl(package.origin)) {
      throw Error(ErrorKind::kUsage,
                  "expected the URL of every conda package, found none of " + package.name,
                  "Export environment.yml instead, which names versions.");
    }
    any = true;
    text += package.origin + HashMark(package) + "\n";
  }
  if (any) return text;
  throw Error(ErrorKind::kUsage, "the image has no conda packages",
              "Export requirements.txt or pylock.toml instead.");
}

}  // namespace firn
