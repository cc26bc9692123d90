#include "builder/inspect/sbom.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "builder/inspect/json_text.h"
#include "firn_version.h"
#include "format/digest.h"

namespace firn {
namespace {

using Json = nlohmann::ordered_json;

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// Percent-encoded as purl wants it: letters, digits and ".-_~:" stay.
std::string Encoded(std::string_view text) {
  constexpr std::string_view kKept = ".-_~:";
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    if (IsAlphanumeric(c) || kKept.find(c) != kKept.npos) {
      encoded += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return encoded;
}

// "conda-forge" of "https://conda.anaconda.org/conda-forge".
std::string ShortChannel(const std::string& channel) {
  return channel.substr(channel.rfind('/') + 1);
}

std::string Qualifiers(const std::vector<std::pair<std::string, std::string>>& values) {
  std::string text;
  for (const auto& [key, value] : values) {  // in the order of the alphabet
    if (!value.empty()) text += (text.empty() ? "?" : "&") + key + "=" + Encoded(value);
  }
  return text;
}

bool IsHexadecimal(const std::string& text, size_t length) {
  return text.size() == length && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

Json Component(const Package& package) {
  Json component = {{"type", "library"}, {"name", package.name}, {"version", package.version}};
  if (!package.license.empty()) {
    component["licenses"] = Json::array({package.license_is_expression
                                             ? Json{{"expression", package.license}}
                                             : Json{{"license", {{"name", package.license}}}}});
  }
  component["purl"] = PackageUrl(package);
  if (IsHexadecimal(package.md5, 32)) {
    component["hashes"].push_back({{"alg", "MD5"}, {"content", package.md5}});
  }
  if (IsHexadecimal(package.sha256, 64)) {
    component["hashes"].push_back({{"alg", "SHA-256"}, {"content", package.sha256}});
  }
  if (package.origin.find("://") != std::string::npos) {
    component["externalReferences"].push_back({{"type", "distribution"}, {"url", package.origin}});
  }
  component["properties"].push_back({{"name", "firn:location"}, {"value", package.location}});
  if (!package.part_of.empty()) {
    component["properties"].push_back(
        {{"name", "firn:part-of"}, {"value", "conda " + package.part_of}});
  }
  return component;
}

// A UUID of version 8 (of one's own making, RFC 9562) from the text.
std::string SerialNumber(const std::string& text) {
  Digest digest = Sha256Of(std::as_bytes(std::span(text)));
  digest.bytes[6] = (digest.bytes[6] & std::byte{0x0F}) | std::byte{0x80};
  digest.bytes[8] = (digest.bytes[8] & std::byte{0x3F}) | std::byte{0x80};
  const std::string hex = ToHex(digest);
  return "urn:uuid:" + hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" +
         hex.substr(16, 4) + "-" + hex.substr(20, 12);
}

}  // namespace

std::string PackageUrl(const Package& package) {
  const std::string version = package.version.empty() ? "" : "@" + Encoded(package.version);
  switch (package.kind) {
    case PackageKind::kConda:
      return "pkg:conda/" + Encoded(package.name) + version +
             Qualifiers({{"build", package.build},
                         {"channel", ShortChannel(package.channel)},
                         {"subdir", package.subdir}});
    case PackageKind::kDeb:
      return "pkg:deb/debian/" + Encoded(package.name) + version +
             Qualifiers({{"arch", package.architecture}});
    case PackageKind::kPython:
      return "pkg:pypi/" + Encoded(NormalizedPythonName(package.name)) + version;
    case PackageKind::kR:
      return "pkg:cran/" + Encoded(package.name) + version;
  }
  return {};
}

std::string MakeSbom(const PackageList& list, const std::string& name, const std::string& version) {
  Json image = {{"type", "application"}, {"bom-ref", "image"}, {"name", name}};
  if (!version.empty()) image["version"] = version;
  Json components = Json::array();
  Json references = Json::array();
  std::set<std::string> taken{"image"};
  for (const Package& package : list.packages) {
    Json component = Component(package);
    std::string reference = component["purl"].get<std::string>();
    // Two records of one package, in two directories, say.
    for (int i = 2; !taken.insert(reference).second; ++i) {
      reference = component["purl"].get<std::string>() + "#" + std::to_string(i);
    }
    component["bom-ref"] = reference;
    references.push_back(reference);
    components.push_back(std::move(component));
  }
  Json sbom = {{"$schema", "http://cyclonedx.org/schema/bom-1.5.schema.json"},
               {"bomFormat", "CycloneDX"},
               {"specVersion", "1.5"},
               {"serialNumber", SerialNumber(JsonText({{"image", image}, {"of", components}}))},
               {"version", 1}};
  sbom["metadata"] = {
      {"tools",
       {{"components",
         Json::array({{{"type", "application"}, {"name", "firn"}, {"version", FIRN_VERSION}}})}}},
      {"component", std::move(image)}};
  sbom["components"] = std::move(components);
  sbom["dependencies"] = Json::array({{{"ref", "image"}, {"dependsOn", std::move(references)}}});
  return JsonText(sbom);
}

}  // namespace firn
