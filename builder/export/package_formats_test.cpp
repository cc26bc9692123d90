#include "builder/export/package_formats.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "builder/export/lock_pins.h"
#include "format/error.h"

namespace firn {
namespace {

const std::string kA(64, 'a');
const std::string kB(64, 'b');

Package Python(const std::string& name, const std::string& version) {
  Package package;
  package.name = name;
  package.version = version;
  return package;
}

std::vector<StoredLock> Locks() {
  return {
      {"uv.lock",
       "version = 1\n[[package]]\nname = \"one\"\nversion = \"1\"\n"
       "sdist = { url = \"https://h/one.tar.gz\", hash = \"sha256:" +
           kA +
           "\" }\n"
           "wheels = [{ url = \"https://h/one.whl\", hash = \"sha256:" +
           kB + "\" }]\n"},
      {"pylock.dev.toml",
       "lock-version = \"1.0\"\n[[packages]]\nname = \"two\"\nversion = \"2\"\n"
       "[[packages.wheels]]\nurl = \"https://h/two.whl\"\nname = \"two.whl\"\n"
       "hashes = { sha256 = \"" +
           kA + "\" }\n"},
      {"requirements.txt", "# three==0 --hash=sha256:" + kB +
                               "\nThree[extra]==3 ; x \\\n"
                               "    --hash=sha256:" +
                               kB + " \\\n    --hash=sha256:" + kA + "\nfour\n"},
  };
}

TEST(LockPinsTest, ReadsEveryKindOfLock) {
  std::vector<std::string> warnings;
  const LockPins pins = ReadLockPins(Locks(), warnings);
  EXPECT_TRUE(warnings.empty());
  ASSERT_EQ(pins.size(), 3u);
  ASSERT_EQ(pins.at({"one", "1"}).files.size(), 2u);
  EXPECT_TRUE(pins.at({"one", "1"}).files[0].is_sdist);
  EXPECT_EQ(pins.at({"one", "1"}).files[1].url, "https://h/one.whl");
  EXPECT_EQ(pins.at({"two", "2"}).files[0].name, "two.whl");
  EXPECT_EQ(pins.at({"three", "3"}).files.size(), 2u);
}

TEST(LockPinsTest, SaysWhatItCannotRead) {
  std::vector<std::string> warnings;
  const LockPins pins = ReadLockPins({{"uv.lock", "= broken"},
                                      {"pylock.toml", "packages = 3"},
                                      {"pylock.x.toml", "[[packages]]\nname = 3\nwheels = [1]\n"},
                                      {"requirements.txt", "==\n==1 --hash=sha256:zz\n\xff==\n"},
                                      {"pylock.deep.toml", "x = " + std::string(100000, '[')},
                                      {"environment.yml", "name: x"}},
                                     warnings);
  EXPECT_EQ(warnings.size(), 2u);
}

TEST(PackageFormatsTest, PutsHashesIntoRequirements) {
  std::vector<std::string> warnings;
  const LockPins pins = ReadLockPins(Locks(), warnings);
  const PackageList list{{Python("One", "1"), Python("pip", "23"), Python("other", "5")}, {}};
  EXPECT_EQ(RequirementsText(list, pins, warnings),
            "One==1 \\\n    --hash=sha256:" + kA + " \\\n    --hash=sha256:" + kB + "\nother==5\n");
  EXPECT_EQ(warnings,
            std::vector<std::string>{"no lock file has a hash for other, which pip will ask for"});
}

TEST(PackageFormatsTest, WritesAPylockThatCanBeReadAsALock) {
  std::vector<std::string> warnings;
  const LockPins pins = ReadLockPins(Locks(), warnings);
  const PackageList list{{Python("One", "1"), Python("two", "2")}, {}};
  const std::string text = PylockText(list, pins, warnings);
  const LockPins again = ReadLockPins({{"pylock.toml", text}}, warnings);
  EXPECT_TRUE(warnings.empty());
  ASSERT_EQ(again.size(), 2u);
  EXPECT_EQ(again.at({"one", "1"}).files.size(), 2u);
  EXPECT_EQ(again.at({"two", "2"}).files[0].sha256, kA);
}

TEST(PackageFormatsTest, LetsNoNameBeAnOptionOrALine) {
  std::vector<std::string> warnings;
  const PackageList list{{Python("--index-url=x", "1"), Python("a", "1\n--x"), Python("b", "1")},
                         {}};
  EXPECT_EQ(RequirementsText(list, {}, warnings), "b==1\n");
  EXPECT_EQ(EnvironmentYaml(list, "e: 1", "3.11", warnings),
            "name: \"e: 1\"\nchannels:\n  - \"conda-forge\"\ndependencies:\n"
            "  - \"python=3.11\"\n  - \"pip\"\n  - pip:\n      - \"b==1\"\n");
}

TEST(LockArchiveTest, TakesHostileArchives) {
  EXPECT_TRUE(ReadLockArchive("").empty());
  EXPECT_THROW(ReadLockArchive(std::string(4096, 'x')), Error);
}

}  // namespace
}  // namespace firn
