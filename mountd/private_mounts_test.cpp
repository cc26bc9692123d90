#include "mountd/private_mounts.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

#include "mountd/mount_table.h"

namespace firn {
namespace {

TEST(PrivateMountsTest, WhatIsMountedThereIsSeenThereOnly) {
  if (geteuid() != 0) GTEST_SKIP() << "mounting takes root";
  std::string directory = testing::TempDir() + "firn-private-XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  {
    PrivateMounts mounts;
    mounts.Run([&] { ASSERT_EQ(mount("x", directory.c_str(), "tmpfs", 0, nullptr), 0); });
    EXPECT_FALSE(FindMount(ReadMountTable(), directory));
    int umounted = -1;
    mounts.Run([&] { umounted = umount2(directory.c_str(), 0); });
    EXPECT_EQ(umounted, 0);
  }
  EXPECT_EQ(rmdir(directory.c_str()), 0);
}

TEST(PrivateMountsTest, WhatATaskThrowsReachesTheCaller) {
  if (geteuid() != 0) GTEST_SKIP() << "a mount namespace takes root";
  PrivateMounts mounts;
  EXPECT_THROW(mounts.Run([] { throw std::runtime_error("x"); }), std::runtime_error);
  bool ran = false;
  mounts.Run([&] { ran = true; });
  EXPECT_TRUE(ran);
}

}  // namespace
}  // namespace firn
