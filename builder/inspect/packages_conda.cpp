#include "builder/inspect/packages_conda.h"

#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "builder/conda_record.h"
#include "builder/inspect/json_text.h"

namespace firn {
namespace {

// conda writes the channel with the platform, others without.
std::string ChannelOf(std::string channel, const std::string& subdir) {
  channel = WithoutSecrets(channel);
  while (channel.ends_with('/')) channel.pop_back();
  if (!subdir.empty() && channel.ends_with("/" + subdir)) {
    channel.resize(channel.size() - subdir.size() - 1);
  }
  return channel;
}

Package CondaPackage(const nlohmann::ordered_json& json) {
  Package package;
  package.kind = PackageKind::kConda;
  package.name = TextAt(json, "name");
  package.version = TextAt(json, "version");
  package.build = TextAt(json, "build");
  if (package.build.empty()) package.build = TextAt(json, "build_string");
  package.subdir = TextAt(json, "subdir");
  package.channel = ChannelOf(TextAt(json, "channel"), package.subdir);
  package.license = TextAt(json, "license");
  package.origin = WithoutSecrets(TextAt(json, "url"));
  package.md5 = TextAt(json, "md5");
  package.sha256 = TextAt(json, "sha256");
  package.files = ArrayAt(json, "files").size();
  return package;
}

}  // namespace

void AddCondaPackages(const std::string& tree, PackageList& list,
                      const std::function<void()>& poll) {
  std::unordered_map<std::string, Package*> python;  // by location
  for (Package& package : list.packages) {
    if (package.kind == PackageKind::kPython) python.emplace(package.location, &package);
  }
  std::vector<Package> found;
  for (const std::string& location : CondaRecordsIn(tree)) {
    poll();
    const nlohmann::ordered_json json = ReadCondaRecord(tree, location);
    Package package = CondaPackage(json);
    if (package.name.empty()) {
      list.unreadable.push_back(location);
      continue;
    }
    package.location = location;
    for (const auto& file : ArrayAt(json, "files")) {
      if (!file.is_string()) continue;
      const auto held = python.find(file.get_ref<const std::string&>());
      if (held != python.end()) held->second->part_of = package.name;
    }
    found.push_back(std::move(package));
  }
  list.packages.insert(list.packages.end(), std::make_move_iterator(found.begin()),
                       std::make_move_iterator(found.end()));
}

}  // namespace firn
