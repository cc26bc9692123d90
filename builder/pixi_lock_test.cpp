#include "builder/pixi_lock.h"

#include <gtest/gtest.h>

#include <string>

#include "format/error.h"

namespace firn {
namespace {

constexpr char kHead[] =
    "environments:\n  default:\n    packages:\n      linux-64:\n"
    "      - conda: https://e/linux-64/a-1-0.conda\n"
    "      - conda: ../b-1-0.conda\n"
    "      - pypi: https://e/c.whl\n"
    "      osx-64:\n"
    "      - conda: https://e/osx-64/d-1-0.conda\n"
    "  test:\n    packages: {}\n"
    "packages:\n"
    "- conda: https://e/osx-64/d-1-0.conda\n  sha256: '00'\n"
    "- conda: https://e/linux-64/a-1-0.conda\n  sha256: '01'\n  md5: '02'\n"
    "- conda: ../b-1-0.conda\n  sha256: '03'\n";
constexpr char kPython[] = "- pypi: https://e/c.whl\n  name: c\n  version: '1'\n  sha256: '04'\n";

std::string MessageOf(const std::string& text, const std::string& environment = "default",
                      const std::string& platform = "linux-64") {
  try {
    ReadPixiLock(text, "/x/y/pixi.lock", environment, platform);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInput);
    return error.message();
  }
  return {};
}

TEST(PixiLock, TakesThePackagesOfEnvironmentAndPlatform) {
  for (const char* version : {"version: 6\n", "version: 7\n"}) {
    const CondaLockPart part = ReadPixiLock(version + std::string(kHead) + kPython,
                                            "/x/y/pixi.lock", "default", "linux-64");
    EXPECT_EQ(part.explicit_list,
              "# platform: linux-64\n@EXPLICIT\nhttps://e/linux-64/a-1-0.conda#02\n"
              "file:///x/b-1-0.conda#sha256:03\n");
    EXPECT_EQ(part.requirements, "c @ https://e/c.whl --hash=sha256:04\n");
  }
}

TEST(PixiLock, NamesWhatIsMissing) {
  const std::string text = "version: 6\n" + std::string(kHead);
  EXPECT_EQ(MessageOf(text),
            "expected a package of the list `packages`, found another entry on line 8");
  EXPECT_EQ(MessageOf(text + "- pypi: https://e/c.whl\n  name: c\n"),
            "expected a URL and a hash of each package, found 'https://e/c.whl' without (line 21)");
  EXPECT_EQ(MessageOf(text, "docs"),
            "expected packages of the environment docs for linux-64, found none");
  EXPECT_EQ(MessageOf(text, "default", "win-64"),
            "expected packages of the environment default for win-64, found none");
  EXPECT_EQ(MessageOf("version: 4\n"), "expected a pixi.lock of version 6 or 7, found version 4");
  EXPECT_EQ(MessageOf("a: 1\n"), "expected a pixi.lock of version 6 or 7, found none");
  EXPECT_EQ(MessageOf("- a\n"), "expected a pixi.lock of version 6 or 7, found none");
  EXPECT_EQ(MessageOf("version: 6\nenvironments: 3\n"),
            "expected packages of the environment default for linux-64, found none");
}

}  // namespace
}  // namespace firn
