#include "builder/inspect/sbom.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace firn {
namespace {

PackageList Sample() {
  PackageList list;
  list.packages.push_back({.name = "Foo_Bar", .version = "1.0+local", .license = "MIT"});
  list.packages.push_back({.name = "foo.bar", .version = "1.0+local"});
  list.packages.push_back({.kind = PackageKind::kConda,
                           .name = "zlib",
                           .version = "1.3",
                           .build = "h0_1",
                           .channel = "https://conda.anaconda.org/conda-forge",
                           .subdir = "linux-64",
                           .md5 = "nonsense",
                           .sha256 = std::string(64, 'a')});
  list.packages.push_back(
      {.kind = PackageKind::kDeb, .name = "libc6", .version = "1:2", .architecture = "amd64"});
  return list;
}

TEST(SbomTest, NamesPackagesByTheirUrls) {
  const PackageList list = Sample();
  EXPECT_EQ(PackageUrl(list.packages[0]), "pkg:pypi/foo-bar@1.0%2Blocal");
  EXPECT_EQ(PackageUrl(list.packages[2]),
            "pkg:conda/zlib@1.3?build=h0_1&channel=conda-forge&subdir=linux-64");
  EXPECT_EQ(PackageUrl(list.packages[3]), "pkg:deb/debian/libc6@1:2?arch=amd64");
}

TEST(SbomTest, HasOneReferenceForEachComponent) {
  const auto sbom = nlohmann::json::parse(MakeSbom(Sample(), "env", ""));
  std::set<std::string> references;
  for (const auto& component : sbom["components"]) references.insert(component["bom-ref"]);
  EXPECT_EQ(references.size(), 4u);
  EXPECT_EQ(sbom["dependencies"][0]["dependsOn"].size(), 4u);
  EXPECT_FALSE(sbom["metadata"]["component"].contains("version"));
  EXPECT_EQ(sbom["components"][2]["hashes"].size(), 1u);  // what is no MD5 is left out
}

TEST(SbomTest, HasASerialNumberOfItsContent) {
  const auto serial = [](const PackageList& list, const std::string& name) {
    return nlohmann::json::parse(MakeSbom(list, name, "1"))["serialNumber"].get<std::string>();
  };
  PackageList other = Sample();
  other.packages[0].version = "2";
  EXPECT_EQ(serial(Sample(), "env"), serial(Sample(), "env"));
  EXPECT_NE(serial(Sample(), "env"), serial(other, "env"));
  EXPECT_NE(serial(Sample(), "env"), serial(Sample(), "else"));
  EXPECT_EQ(serial(Sample(), "env").size(), 45u);
}

}  // namespace
}  // namespace firn
