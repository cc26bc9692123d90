#include "builder/build_settings.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <string>

#include "format/error.h"

namespace firn {
namespace {

class BuildSettingsTest : public testing::Test {
 protected:
  BuildSettingsTest() { unsetenv("SOURCE_DATE_EPOCH"); }
  ~BuildSettingsTest() override { unsetenv("SOURCE_DATE_EPOCH"); }

  static void ExpectUsageError(const BuildOptions& options) {
    try {
      ResolveSettings(options, "/real/science");
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage) << error.what();
    }
  }
};

TEST_F(BuildSettingsTest, DefaultsComeFromTheDirectory) {
  const BuildSettings settings = ResolveSettings({}, "/real/science");
  EXPECT_EQ(settings.name, "science");
  EXPECT_EQ(settings.prefix, "/real/science");
  EXPECT_EQ(settings.time, 315532800);
  EXPECT_GE(settings.jobs, 1u);
}

TEST_F(BuildSettingsTest, PrefixIsMadeNormal) {
  BuildOptions options;
  for (const char* prefix : {"/opt/env", "/opt/env/", "/opt//env//", "//opt/env"}) {
    options.prefix = prefix;
    EXPECT_EQ(ResolveSettings(options, "/d").prefix, "/opt/env") << prefix;
  }
  for (const char* prefix : {"", "opt", "/", "//", "/opt/../x", "/./x", "/a\nb", "/a\xff"}) {
    options.prefix = prefix;
    ExpectUsageError(options);
  }
}

TEST_F(BuildSettingsTest, TheRootDirectoryNeedsAPrefixAndAName) {
  EXPECT_THROW(ResolveSettings({}, "/"), Error);
  BuildOptions options;
  options.name = "root";
  options.prefix = "/opt/root";
  EXPECT_EQ(ResolveSettings(options, "/").prefix, "/opt/root");
}

TEST_F(BuildSettingsTest, NamesArePrintable) {
  const auto named = [](const std::string& name) {
    BuildOptions options;
    options.name.emplace(name);
    return options;
  };
  EXPECT_EQ(ResolveSettings(named("größe 1.0"), "/d").name, "größe 1.0");
  for (const std::string& name : {std::string(), std::string("a/b"), std::string("a\tb"),
                                  std::string("\xc3"), std::string(256, 'x')}) {
    ExpectUsageError(named(name));
  }
}

TEST_F(BuildSettingsTest, TimeIsThatOfSourceDateEpoch) {
  setenv("SOURCE_DATE_EPOCH", "4294967295", 1);
  EXPECT_EQ(ResolveSettings({}, "/d").time, 4294967295);
  setenv("SOURCE_DATE_EPOCH", "0", 1);
  EXPECT_EQ(ResolveSettings({}, "/d").time, 0);
  for (const char* epoch : {"-1", "4294967296", "1e9", " 1", "1 ", "0x10", "now"}) {
    setenv("SOURCE_DATE_EPOCH", epoch, 1);
    ExpectUsageError({});
  }
}

TEST_F(BuildSettingsTest, LevelsAndJobsHaveBounds) {
  BuildOptions options;
  for (const int level : {-1, 0, 23}) {
    options.level = level;
    ExpectUsageError(options);
  }
  options.level = 22;
  options.jobs = 1024;
  EXPECT_EQ(ResolveSettings(options, "/d").jobs, 1024u);
  options.jobs = 1025;
  ExpectUsageError(options);
}

TEST(ParseBlockSize, TakesPowersOfTwoWithUnits) {
  EXPECT_EQ(ParseBlockSize("4096"), 4096u);
  EXPECT_EQ(ParseBlockSize("4K"), 4096u);
  EXPECT_EQ(ParseBlockSize("128k"), 131072u);
  EXPECT_EQ(ParseBlockSize("1M"), 1048576u);
  EXPECT_EQ(ParseBlockSize("1048576"), 1048576u);
  for (const char* text :
       {"", "K", "2K", "2M", "5000", "-4K", "4 K", "4KB", "1G", "4194304K", "99999999999", "0"}) {
    EXPECT_THROW(ParseBlockSize(text), Error) << text;
  }
}

}  // namespace
}  // namespace firn
