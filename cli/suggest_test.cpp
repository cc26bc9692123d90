#include "cli/suggest.h"

#include <gtest/gtest.h>

namespace firn {
namespace {

const std::vector<std::string> kNames = {"build",   "mount",  "unmount", "run",
                                         "inspect", "verify", "status"};

TEST(SuggestTest, FindsSlipsOfTheFingers) {
  EXPECT_EQ(Suggest("biuld", kNames), "build");
  EXPECT_EQ(Suggest("buidl", kNames), "build");
  EXPECT_EQ(Suggest("umount", kNames), "unmount");
  EXPECT_EQ(Suggest("inspct", kNames), "inspect");
  EXPECT_EQ(Suggest("verfiy", kNames), "verify");
  EXPECT_EQ(Suggest("rnu", kNames), "run");
}

TEST(SuggestTest, CompletesAnUnambiguousBeginning) {
  EXPECT_EQ(Suggest("stat", kNames), "status");
  EXPECT_EQ(Suggest("v", kNames), "verify");
}

TEST(SuggestTest, OffersNothingForAnotherWord) {
  EXPECT_EQ(Suggest("frobnicate", kNames), "");
  EXPECT_EQ(Suggest("", kNames), "");
  EXPECT_EQ(Suggest("xyz", kNames), "");
  EXPECT_EQ(Suggest(std::string(100000, 'b'), kNames), "");
  EXPECT_EQ(Suggest("build", {}), "");
}

}  // namespace
}  // namespace firn
