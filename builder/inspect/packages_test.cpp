#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "builder/inspect/header_fields.h"
#include "builder/inspect/package_search.h"
#include "builder/temporary_directory.h"
#include "format/error.h"

namespace firn {
namespace {

class PackagesTest : public testing::Test {
 protected:
  void Write(const std::string& name, const std::string& content) const {
    const std::filesystem::path path = tree_ + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << content;
  }
  PackageList Find() const {
    return FindPackages(tree_, [] {});
  }

  const TemporaryDirectory directory_;
  const std::string tree_ = std::filesystem::canonical(directory_.path()).string();
};

const std::string kSite = "lib/python3.11/site-packages/";

TEST_F(PackagesTest, ReadsADistInfo) {
  Write(kSite + "Foo_Bar-1.0.dist-info/METADATA",
        "Metadata-Version: 2.1\r\nName: Foo.Bar\r\nVersion: 1.0\r\n"
        "Classifier: License :: OSI Approved :: MIT License\r\nLicense: UNKNOWN\r\n\r\n"
        "Name: not this\r\n");
  Write(kSite + "Foo_Bar-1.0.dist-info/INSTALLER", "pip\n");
  Write(kSite + "Foo_Bar-1.0.dist-info/RECORD", "foo.py,sha256=x,1\nbar.py,,");
  Write(kSite + "Foo_Bar-1.0.dist-info/direct_url.json",
        R"({"url": "https://user:secret@host/foo.git",
            "vcs_info": {"vcs": "git", "commit_id": "abc"}})");
  const PackageList list = Find();
  ASSERT_EQ(list.packages.size(), 1u);
  const Package& package = list.packages[0];
  EXPECT_EQ(package.name, "Foo.Bar");
  EXPECT_EQ(package.version, "1.0");
  EXPECT_EQ(package.license, "MIT License");
  EXPECT_FALSE(package.license_is_expression);
  EXPECT_EQ(package.installer, "pip");
  EXPECT_EQ(package.files, 2u);
  EXPECT_EQ(package.origin, "git+https://host/foo.git@abc");
}

TEST_F(PackagesTest, PrefersAnExpressionToALicensesText) {
  Write(kSite + "a-1.dist-info/METADATA",
        "Name: a\nVersion: 1\nLicense: MIT\nLicense-Expression: MIT OR Apache-2.0\n");
  Write(kSite + "b-1.dist-info/METADATA",
        "Name: b\nVersion: 1\nLicense: Copyright (c) somebody\n        All rights\n        "
        "reserved\n");
  const PackageList list = Find();
  ASSERT_EQ(list.packages.size(), 2u);
  EXPECT_EQ(list.packages[0].license, "MIT OR Apache-2.0");
  EXPECT_TRUE(list.packages[0].license_is_expression);
  EXPECT_EQ(list.packages[1].license, "Copyright (c) somebody");
}

TEST_F(PackagesTest, FindsAPackageOnceWhoseDirectoryHasSeveralNames) {
  Write(kSite + "a-1.dist-info/METADATA", "Name: a\nVersion: 1\n");
  Write("local/lib/python3.11/readme", "");
  std::filesystem::create_symlink("lib", tree_ + "/lib64");
  std::filesystem::create_symlink("../../../lib/python3.11/site-packages",
                                  tree_ + "/local/lib/python3.11/dist-packages");
  EXPECT_EQ(Find().packages.size(), 1u);
}

TEST_F(PackagesTest, FindsEggsAndDebiansDirectories) {
  Write("lib/python3/dist-packages/one.egg-info", "Name: one\nVersion: 1\n");
  Write("lib/python3/dist-packages/two.egg-info/PKG-INFO", "Name: two\nVersion: 2\n");
  Write("local/lib/python3.11/dist-packages/three.egg/EGG-INFO/PKG-INFO", "Name: three\n");
  Write("lib/python3/dist-packages/~four-1.dist-info/METADATA", "Name: four\n");
  const PackageList list = Find();
  ASSERT_EQ(list.packages.size(), 3u);
  EXPECT_EQ(list.packages[0].name, "one");
  EXPECT_EQ(list.packages[1].name, "three");
  EXPECT_EQ(list.packages[2].name, "two");
}

TEST_F(PackagesTest, NamesWhatItCannotRead) {
  Write(kSite + "none-1.dist-info/RECORD", "");
  Write(kSite + "noise-1.dist-info/METADATA", std::string("\0\xff\xfe:\n:::\n  x", 13));
  Write("conda-meta/broken.json", "{\"name\": \"x\"");
  Write("conda-meta/wrong.json", "[1, {\"name\": 3}]");
  Write("conda-meta/wrong-type.json", "{\"name\": [\"x\"], \"files\": 3}");
  std::filesystem::create_directories(tree_ + "/" + kSite + "pipe-1.dist-info");
  ASSERT_EQ(mkfifo((tree_ + "/" + kSite + "pipe-1.dist-info/METADATA").c_str(), 0600), 0);
  const PackageList list = Find();
  EXPECT_TRUE(list.packages.empty());
  EXPECT_EQ(list.unreadable,
            (std::vector<std::string>{"conda-meta/broken.json", "conda-meta/wrong-type.json",
                                      "conda-meta/wrong.json", kSite + "noise-1.dist-info/METADATA",
                                      kSite + "none-1.dist-info/METADATA",
                                      kSite + "pipe-1.dist-info/METADATA"}));
}

TEST_F(PackagesTest, TellsWhichPythonPackagesCondaHolds) {
  Write(kSite + "six-1.16.dist-info/METADATA", "Name: six\nVersion: 1.16\n");
  Write(kSite + "own-1.dist-info/METADATA", "Name: own\nVersion: 1\n");
  Write("conda-meta/six-1.16-0.json",
        R"({"name": "six", "version": "1.16", "build": "0", "subdir": "noarch",
            "channel": "https://conda.anaconda.org/t/tk-123/conda-forge/noarch",
            "url": "https://conda.anaconda.org/t/tk-123/conda-forge/noarch/six-1.16-0.conda",
            "license": "MIT", "md5": "d41d8cd98f00b204e9800998ecf8427e",
            "files": ["lib/python3.11/site-packages/six-1.16.dist-info/METADATA", 7]})");
  const PackageList list = Find();
  ASSERT_EQ(list.packages.size(), 3u);
  EXPECT_EQ(list.packages[0].kind, PackageKind::kConda);
  EXPECT_EQ(list.packages[0].channel, "https://conda.anaconda.org/conda-forge");
  EXPECT_EQ(list.packages[0].origin,
            "https://conda.anaconda.org/conda-forge/noarch/six-1.16-0.conda");
  EXPECT_EQ(list.packages[1].name, "own");
  EXPECT_EQ(list.packages[1].part_of, "");
  EXPECT_EQ(list.packages[2].part_of, "six");
}

TEST_F(PackagesTest, ReadsRAndDpkg) {
  Write("lib/R/library/ggplot2/DESCRIPTION",
        "Package: ggplot2\nVersion: 3.4.0\nLicense: MIT + file LICENSE\nTitle: Create\n  plots\n");
  Write("var/lib/dpkg/status",
        "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\n\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n");
  const PackageList list = Find();
  ASSERT_EQ(list.packages.size(), 2u);
  EXPECT_EQ(list.packages[0].name, "libc6");
  EXPECT_EQ(list.packages[0].architecture, "amd64");
  EXPECT_EQ(list.packages[1].name, "ggplot2");
  EXPECT_EQ(list.packages[1].license, "MIT + file LICENSE");
}

TEST_F(PackagesTest, GivesTheSameTextForTheSamePackages) {
  Write(kSite + "b-1.dist-info/METADATA", "Name: B\nVersion: 1\nLicense: \xffodd\n");
  Write(kSite + "a-1.dist-info/METADATA", "Name: a\nVersion: 2\n");
  const std::string text = Find().ToJson();
  const PackageList read = PackageList::FromJson(text);
  ASSERT_EQ(read.packages.size(), 2u);
  EXPECT_EQ(read.packages[0].name, "a");
  EXPECT_EQ(read.packages[1].license, "\xEF\xBF\xBDodd");
  EXPECT_EQ(read.ToJson(), text);
}

TEST_F(PackagesTest, TakesManyPackages) {
  for (int i = 0; i < 2'000; ++i) {
    const std::string name = "p" + std::to_string(i);
    Write(kSite + name + "-1.dist-info/METADATA", "Name: " + name + "\nVersion: 1\n");
  }
  EXPECT_EQ(Find().packages.size(), 2'000u);
}

TEST(PackageListTest, RefusesWhatIsNoList) {
  for (const char* text :
       {"", "[]", "{}", R"({"format": 1, "packages": [{"kind": "python"}]})",
        R"({"format": 1, "packages": [{"kind": "rpm", "name": "x"}]})", "\xff"}) {
    EXPECT_THROW(PackageList::FromJson(text), Error) << text;
  }
}

TEST(PackageTest, NormalizesNames) {
  EXPECT_EQ(NormalizedPythonName("Foo__.Bar-baz"), "foo-bar-baz");
}

TEST(PackageTest, TakesSecretsOutOfUrls) {
  EXPECT_EQ(WithoutSecrets("https://u:p@h/x@y"), "https://h/x@y");
  EXPECT_EQ(WithoutSecrets("https://token@h"), "https://h");
  EXPECT_EQ(WithoutSecrets("ssh://git@h/x"), "ssh://git@h/x");
  EXPECT_EQ(WithoutSecrets("https://h/t/tk-1/c/noarch"), "https://h/c/noarch");
  EXPECT_EQ(WithoutSecrets("conda-forge"), "conda-forge");
  EXPECT_EQ(WithoutSecrets("file:///t/x"), "file:///t/x");
}

TEST(HeaderFieldsTest, TakesAnyBytes) {
  const HeaderFields fields("  lost\n\tlost\nno colon\n: empty\nA:\xff\n b\n\nC: d\n");
  EXPECT_EQ(fields.Get("a"), "\xff\nb");
  EXPECT_EQ(fields.Get("c"), "");
  EXPECT_EQ(HeaderFields("").Get("a"), "");
}

}  // namespace
}  // namespace firn
