#include "mountd/fuse_mount.h"

#include <gtest/gtest.h>

#include <string>

#include "mountd/view.h"

namespace firn {
namespace {

TEST(FuseMountData, HasNoContextWhereNoneIsGiven) {
  EXPECT_EQ(FuseMountData(7, {.source = "image"}).find("context"), std::string::npos);
  EXPECT_EQ(SelinuxMountData(""), "");
}

// The kernel takes commas for the ends of options, unless they stand in quotes.
TEST(FuseMountData, QuotesTheContext) {
  const std::string data =
      FuseMountData(7, {.source = "image", .selinux_context = "system_u:object_r:usr_t:s0:c1,c2"});
  EXPECT_TRUE(data.starts_with("fd=7,")) << data;
  EXPECT_TRUE(data.ends_with(",allow_other,context=\"system_u:object_r:usr_t:s0:c1,c2\"")) << data;
}

TEST(OverlayMountData, QuotesTheContext) {
  EXPECT_EQ(OverlayMountData("/e", {"/f"}, {.image = "image", .selinux_context = "a:b:c:s0:c1,c2"}),
            "xino=on,lowerdir=/e:/f,context=\"a:b:c:s0:c1,c2\"");
  EXPECT_EQ(OverlayMountData("/e", {"/f"}, {.image = "image", .user_namespace = true}),
            "xino=on,lowerdir=/e:/f,userxattr");
}

}  // namespace
}  // namespace firn
