#include "mountd/mount_rules.h"

#include <gtest/gtest.h>

namespace firn {
namespace {

TEST(FuseConfTest, HasTheDefaultsOfFusermount) {
  const FuseConf conf = ParseFuseConf("# a comment\n#user_allow_other\n\n#mount_max = 5\n");
  EXPECT_FALSE(conf.user_allow_other);
  EXPECT_EQ(conf.mount_max, 1000);
}

TEST(FuseConfTest, IsReadAsItIsWritten) {
  const FuseConf conf = ParseFuseConf("  user_allow_other # yes\nmount_max = 7");
  EXPECT_TRUE(conf.user_allow_other);
  EXPECT_EQ(conf.mount_max, 7);
  EXPECT_EQ(ParseFuseConf("mount_max=-1\r\n").mount_max, -1);
}

TEST(FuseConfTest, LeavesOutWhatIsNone) {
  EXPECT_EQ(ParseFuseConf("mount_max = many\nmount_max = 3 4\nmount_maximum = 3\n").mount_max,
            1000);
  EXPECT_FALSE(ParseFuseConf("user_allow_other = no\nuser_allow_others\n").user_allow_other);
}

}  // namespace
}  // namespace firn
