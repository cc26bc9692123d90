#include "builder/conda_lock.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "builder/temporary_directory.h"
#include "format/error.h"

namespace firn {
namespace {

constexpr char kMd5[] = "0123456789abcdef0123456789abcdef";

std::string LockedPackage(const std::string& rest, const std::string& platform = "linux-64") {
  return "- name: a\n  version: '1'\n  platform: " + platform + "\n" + rest;
}

std::string Message(const std::string& text) {
  try {
    ReadCondaLock(text, "F", "linux-64");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInput);
    return error.message();
  }
  return {};
}

TEST(CondaLock, ExplicitListsNeedHashes) {
  const std::string url = "https://example.org/linux-64/a-1-0.conda";
  EXPECT_EQ(FindUnlockedUrl("# a\n@EXPLICIT\n" + url + "#" + kMd5 + "\r\n"), "");
  EXPECT_EQ(FindUnlockedUrl("@EXPLICIT\n" + url + "\n"),
            "line 2: '" + url + "' has no hash behind a #");
  EXPECT_EQ(FindUnlockedUrl("@EXPLICIT\nnumpy=1\n"), "line 2: 'numpy=1' is no URL of a package");
}

TEST(CondaLock, TakesThePackagesOfThePlatform) {
  const std::string md5 = "  url: https://e/a.conda\n  hash: {md5: " + std::string(kMd5) + "}\n";
  const CondaLockPart part = ReadCondaLock(
      "metadata: {}\npackage:\n" + LockedPackage(md5) +
          LockedPackage("  url: https://e/b.conda\n", "osx-64") +
          LockedPackage("  category: dev\n") +
          LockedPackage("  manager: pip\n  url: https://e/c.whl\n  hash: {sha256: cd}\n"),
      "F", "linux-64");
  EXPECT_EQ(part.explicit_list,
            "# platform: linux-64\n@EXPLICIT\nhttps://e/a.conda#" + std::string(kMd5) + "\n");
  EXPECT_EQ(part.requirements, "a @ https://e/c.whl --hash=sha256:cd\n");
}

TEST(CondaLock, NamesWhatIsMissing) {
  EXPECT_EQ(Message("package:\n" + LockedPackage("  url: https://e/a.conda\n")),
            "expected a URL and a hash of each package, found 'a' without (line 2)");
  EXPECT_EQ(Message("package:\n" + LockedPackage("", "osx-64")),
            "expected packages for linux-64, found none");
  EXPECT_EQ(Message("a: 1\n"), "expected a conda-lock file, found no list of packages");
  EXPECT_TRUE(Message("a: [\n").starts_with("line 2 is not YAML: "));
}

TEST(CondaLock, SeesPackagesOfPips) {
  EXPECT_TRUE(HasPipSection("dependencies:\n- python\n- pip:\n  - six\n", "F"));
  EXPECT_FALSE(HasPipSection("dependencies:\n- python\n- pip\n", "F"));
  EXPECT_FALSE(HasPipSection("name: a\n", "F"));
}

TEST(CondaLock, ListsWhatIsInstalledInOrder) {
  const TemporaryDirectory prefix;
  std::filesystem::create_directory(prefix.path() + "/conda-meta");
  const auto add = [&](const std::string& name, const std::string& text) {
    std::ofstream(prefix.path() + "/conda-meta/" + name) << text;
  };
  add("history", "");
  add("b-1-0.json", R"({"url": "https://e/b.conda", "md5": "2"})");
  add("a-1-0.json", R"({"url": "https://e/a.conda", "md5": "1"})");
  EXPECT_EQ(ListExplicit(prefix.path(), "linux-64"),
            "# platform: linux-64\n@EXPLICIT\nhttps://e/a.conda#1\nhttps://e/b.conda#2\n");
  add("c-1-0.json", "{}");
  EXPECT_THROW(ListExplicit(prefix.path(), "linux-64"), Error);
}

}  // namespace
}  // namespace firn
