#include "mountd/mount_table.h"

#include <gtest/gtest.h>

#include "format/error.h"

namespace firn {
namespace {

TEST(MountTableTest, ReadsEveryField) {
  const MountEntry entry = ParseMountLine(
      "36 35 98:0 /image /mnt/env ro,nosuid,nodev - fuse.firn /data/env.firn ro,user_id=0");
  EXPECT_EQ(entry.id, 36u);
  EXPECT_EQ(entry.parent, 35u);
  EXPECT_EQ(entry.device, "98:0");
  EXPECT_EQ(entry.root, "/image");
  EXPECT_EQ(entry.target, "/mnt/env");
  EXPECT_EQ(entry.options, "ro,nosuid,nodev");
  EXPECT_EQ(entry.type, "fuse.firn");
  EXPECT_EQ(entry.source, "/data/env.firn");
  EXPECT_EQ(entry.super_options, "ro,user_id=0");
}

TEST(MountTableTest, SkipsOptionalFields) {
  const MountEntry entry =
      ParseMountLine("36 35 0:40 / /mnt rw shared:7 master:1 propagate_from:2 - tmpfs none rw");
  EXPECT_EQ(entry.type, "tmpfs");
  EXPECT_EQ(entry.source, "none");
}

TEST(MountTableTest, UndoesOctalEscapes) {
  const MountEntry entry = ParseMountLine(
      R"(36 35 0:40 / /mnt/a\040b\011c\012d\134e\043f rw - overlay firn:/x\040y.firn ro)");
  EXPECT_EQ(entry.target, "/mnt/a b\tc\nd\\e#f");
  EXPECT_EQ(entry.source, "firn:/x y.firn");
}

TEST(MountTableTest, LeavesWhatIsNoEscape) {
  EXPECT_EQ(ParseMountLine(R"(1 2 0:1 / /a\04 rw - t s o)").target, R"(/a\04)");
  EXPECT_EQ(ParseMountLine(R"(1 2 0:1 / /a\089 rw - t s o)").target, R"(/a\089)");
}

TEST(MountTableTest, KeepsAnEmptySource) {
  const MountEntry entry = ParseMountLine("1 2 0:1 / /a rw - tmpfs  rw");
  EXPECT_EQ(entry.source, "");
  EXPECT_EQ(entry.super_options, "rw");
}

TEST(MountTableTest, RefusesOtherLines) {
  EXPECT_THROW(ParseMountLine(""), Error);
  EXPECT_THROW(ParseMountLine("x y z"), Error);
  EXPECT_THROW(ParseMountLine("1 2 0:1 / /a rw"), Error);
  EXPECT_THROW(ParseMountLine("1 2 0:1 / /a rw - tmpfs"), Error);
}

TEST(MountTableTest, KnowsFirnMounts) {
  const MountEntry fuse = ParseMountLine("1 2 0:1 / /a ro - fuse.firn /i.firn ro");
  EXPECT_TRUE(fuse.IsFirn());
  EXPECT_EQ(fuse.FirnImage(), "/i.firn");
  const MountEntry view = ParseMountLine("1 2 0:1 /image /a ro - overlay firn:/i.firn ro");
  EXPECT_TRUE(view.IsFirn());
  EXPECT_EQ(view.FirnImage(), "/i.firn");
  EXPECT_FALSE(ParseMountLine("1 2 0:1 / /a ro - overlay /i.firn ro").IsFirn());
  EXPECT_FALSE(ParseMountLine("1 2 0:1 / /a ro - fuse.sshfs firn:/i.firn ro").IsFirn());
}

TEST(MountTableTest, FindsTheTopmostMount) {
  const std::vector<MountEntry> table = {
      ParseMountLine("90 2 0:1 / /a rw - ext4 lower rw"),
      ParseMountLine("40 90 0:2 / /a rw - tmpfs upper rw"),
      ParseMountLine("41 2 0:3 / /ab rw - tmpfs other rw"),
  };
  EXPECT_EQ(FindMount(table, "/a")->source, "upper");
  EXPECT_EQ(FindMount(table, "/ab")->source, "other");
  EXPECT_FALSE(FindMount(table, "/b"));
}

TEST(MountTableTest, ReadsTheOwnNamespace) {
  const std::vector<MountEntry> table = ReadMountTable();
  ASSERT_TRUE(FindMount(table, "/proc"));
  EXPECT_EQ(FindMount(table, "/proc")->type, "proc");
}

}  // namespace
}  // namespace firn
