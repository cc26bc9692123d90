#include "builder/python_lock.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "format/error.h"

namespace firn {
namespace {

std::string MessageOf(LockedPackages (*read)(const std::string&, const std::string&),
                      const std::string& text) {
  try {
    read(text, "F");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInput);
    EXPECT_EQ(error.path(), "F");
    return error.message();
  }
  return {};
}

TEST(PythonLock, RequirementsNeedHashes) {
  EXPECT_EQ(FindUnlockedRequirement(""), "");
  EXPECT_EQ(FindUnlockedRequirement("# six\n--index-url https://example.org/simple\n"
                                    "six==1.16.0 \\\r\n  --hash=sha256:ab \\\n  --hash=sha256:cd\n"
                                    "x @ file:///x.whl --hash=sha256:ab  # why\n"),
            "");
  EXPECT_EQ(FindUnlockedRequirement("a==1 --hash=sha256:ab\nsix==1.16.0 # --hash=\n"),
            "line 2: 'six==1.16.0' has no --hash");
  EXPECT_EQ(FindUnlockedRequirement("a==1 \\\n --hash=sha256:ab\n\n\nb \\\n\n"),
            "line 5: 'b' has no --hash");
  EXPECT_EQ(FindUnlockedRequirement("-r more.txt\n"), "line 1: '-r more.txt' names another file");
  EXPECT_EQ(FindUnlockedRequirement("-e .\n"), "line 1: '-e .' is an editable directory");
}

TEST(PythonLock, PylockNeedsHashes) {
  const std::string start = "lock-version = '1.0'\n[[packages]]\nname = 'six'\n";
  EXPECT_TRUE(ReadPylock(start + "wheels = [{url = 'u', hashes = {sha256 = 'ab'}}]\n", "F")
                  .sdist_only.empty());
  EXPECT_EQ(ReadPylock(start + "sdist = {url = 'u', hashes = {sha256 = 'ab'}}\n", "F").sdist_only,
            (std::vector<std::string>{"six"}));
  const std::string said = "expected a hash of each file, found one of the package 'six' without ";
  EXPECT_EQ(MessageOf(ReadPylock, start + "wheels = [{url = 'u'}]\n"), said + "(line 4)");
  EXPECT_EQ(MessageOf(ReadPylock, start + "sdist = {url = 'u', hashes = {}}\n"), said + "(line 4)");
  EXPECT_EQ(MessageOf(ReadPylock, start + "wheels = [{url = 'u', hashes = {a = 'b'}}, {}]\n"),
            said + "(line 4)");
  EXPECT_TRUE(MessageOf(ReadPylock, "a = 1\nb = ]\n").starts_with("line 2 is not TOML: "));
  EXPECT_EQ(MessageOf(ReadPylock, "a = 1\n"), "expected a lock by PEP 751, found no lock-version");
}

TEST(PythonLock, UvLockNeedsHashesOfWhatItFetches) {
  const std::string start = "version = 1\n[[package]]\nname = 'six'\n";
  const std::string registry = "source = {registry = 'https://pypi.org/simple'}\n";
  EXPECT_TRUE(ReadUvLock(start + registry + "wheels = [{url = 'u', hash = 'sha256:ab'}]\n", "F")
                  .sdist_only.empty());
  EXPECT_EQ(
      ReadUvLock(start + registry + "sdist = {url = 'u', hash = 'sha256:ab'}\n", "F").sdist_only,
      (std::vector<std::string>{"six"}));
  EXPECT_NE(MessageOf(ReadUvLock, start + registry + "wheels = [{url = 'u'}]\n"), "");
  EXPECT_EQ(MessageOf(ReadUvLock, start + registry + "wheels = [{path = '/wheels/u.whl'}]\n"), "");
  for (const char* source : {"editable", "virtual", "directory"}) {
    const std::string local = start + "source = {" + source + " = '.'}\n";
    EXPECT_TRUE(ReadUvLock(local, "F").sdist_only.empty()) << source;
  }
}

TEST(PythonLock, NamesOfPackagesAreComparedAsToolsDo) {
  EXPECT_EQ(NormalPackageName("Foo.Bar-_x"), "foo_bar_x");
}

TEST(PythonLock, CharactersOutsideOfAsciiAreNoCrash) {
  // Undefined behaviour in toml++ 3.3, where white space may stand.
  EXPECT_THROW(ReadUvLock("d\u0191:p", "uv.lock"), Error);
  EXPECT_THROW(ReadUvLock("\u00e9 = 1", "uv.lock"), Error);
  EXPECT_NO_THROW(ReadUvLock("a = \"\u00e9\"  # \u0191\n", "uv.lock"));
  // An assertion of toml++ where it is compiled into a program instead of linked.
  EXPECT_THROW(ReadPylock("[[%a]]\n", "pylock.toml"), Error);
  EXPECT_THROW(ReadUvLock("a = " + std::string(100'000, '['), "uv.lock"), Error);
}

}  // namespace
}  // namespace firn
