#include "mountd/prefix_place.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "format/error.h"

namespace firn {
namespace {

ErrorKind RefusalOf(const std::string& prefix) {
  try {
    CheckPrefix(prefix);
  } catch (const Error& error) {
    EXPECT_EQ(error.path(), prefix);
    EXPECT_FALSE(error.remedy().empty());
    return error.kind();
  }
  ADD_FAILURE() << prefix << " is taken";
  return ErrorKind::kInternal;
}

TEST(CheckPrefixTest, TakesOrdinaryPrefixes) {
  for (const char* prefix : {"/opt/envs/science", "/sw", "/opt/a..b/.hidden", "/opt/x/", "/device",
                             "/home/u/proc", "/opt//x"}) {
    EXPECT_NO_THROW(CheckPrefix(prefix)) << prefix;
  }
}

TEST(CheckPrefixTest, RefusesWhatNoImageMayCover) {
  for (const char* prefix : {"", "opt/x", "/", "//", "/opt/../etc", "/opt/./x", "/..", "/proc",
                             "/proc/self", "/sys", "/dev/", "//dev/shm"}) {
    EXPECT_EQ(RefusalOf(prefix), ErrorKind::kUsage) << prefix;
  }
}

TEST(NormalPrefixTest, LeavesOutSuperfluousSlashes) {
  EXPECT_EQ(NormalPrefix("/opt/x"), "/opt/x");
  EXPECT_EQ(NormalPrefix("//opt///x//"), "/opt/x");
}

TEST(IsAtOrBelowTest, ComparesWholeComponents) {
  EXPECT_TRUE(IsAtOrBelow("/opt/x", "/opt/x"));
  EXPECT_TRUE(IsAtOrBelow("/opt/x/y", "/opt/x"));
  EXPECT_TRUE(IsAtOrBelow("/opt/x", "/opt/x/"));
  EXPECT_TRUE(IsAtOrBelow("/opt/x", "/"));
  EXPECT_TRUE(IsAtOrBelow("/", "/"));
  EXPECT_FALSE(IsAtOrBelow("/opt/xy", "/opt/x"));
  EXPECT_FALSE(IsAtOrBelow("/opt", "/opt/x"));
  EXPECT_FALSE(IsAtOrBelow("/", "/opt"));
}

class PrefixPlacerTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "firn-prefix-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = std::filesystem::canonical(name);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path directory_;
  PrefixPlacer placer_;
};

TEST_F(PrefixPlacerTest, MakesWhatTheCallerMayMakeAndNeedsNoUnderlayForIt) {
  const std::filesystem::path prefix = directory_ / "a/b/c";
  EXPECT_EQ(placer_.Ensure(prefix.string() + "/"), prefix.string());
  EXPECT_TRUE(std::filesystem::is_directory(prefix));
  EXPECT_EQ(placer_.Ensure(prefix.string()), prefix.string());
  EXPECT_TRUE(placer_.underlays().empty());
}

TEST_F(PrefixPlacerTest, FollowsSymlinksOnTheWay) {
  std::filesystem::create_directory(directory_ / "real");
  std::filesystem::create_directory_symlink("real", directory_ / "link");
  EXPECT_EQ(placer_.Ensure(directory_ / "link/new"), (directory_ / "real/new").string());
}

TEST_F(PrefixPlacerTest, RefusesAFileAtThePrefixOrOnTheWay) {
  std::ofstream(directory_ / "file") << "x";
  for (const char* prefix : {"file", "file/below"}) {
    try {
      placer_.Ensure(directory_ / prefix);
      ADD_FAILURE() << prefix;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kMountPoint) << prefix;
    }
  }
}

}  // namespace
}  // namespace firn
