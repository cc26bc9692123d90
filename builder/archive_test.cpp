#include "builder/archive.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "builder/temporary_directory.h"
#include "format/error.h"

namespace firn {
namespace {

namespace fs = std::filesystem;

// Archives are made by tar(1).
class ArchiveTest : public testing::Test {
 protected:
  ArchiveTest() {
    fs::create_directories(in());
    fs::create_directories(tree());
  }
  std::string in() const { return directory_.path() + "/in"; }
  std::string tree() const { return directory_.path() + "/tree"; }
  std::string archive() const { return directory_.path() + "/a.tar"; }
  void Tar(const std::string& words) const {
    const std::string command =
        "cd '" + in() + "' && tar -P " + words + " -cf ../a.tar . 2>/dev/null";
    ASSERT_EQ(system(command.c_str()), 0) << command;
  }
  void Unpack() const {
    UnpackArchive(archive(), tree(), [] {});
  }
  std::string Refusal() const {
    try {
      Unpack();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInput);
      EXPECT_EQ(error.path(), archive());
      return error.message();
    }
    return {};
  }

  const TemporaryDirectory directory_;
};

TEST_F(ArchiveTest, GivesTheTree) {
  fs::create_directories(in() + "/bin/deep");
  std::ofstream(in() + "/bin/tool") << "#!/bin/sh\n";
  fs::permissions(in() + "/bin/tool", fs::perms::owner_all);
  fs::create_hard_link(in() + "/bin/tool", in() + "/bin/same");
  fs::create_symlink("../tool", in() + "/bin/deep/link");
  fs::permissions(in() + "/bin/deep", fs::perms::owner_read | fs::perms::owner_exec);
  Tar("-z");
  fs::permissions(in() + "/bin/deep", fs::perms::owner_all);
  Unpack();
  EXPECT_EQ(fs::read_symlink(tree() + "/bin/deep/link"), "../tool");
  EXPECT_EQ(fs::hard_link_count(tree() + "/bin/same"), 2u);
  EXPECT_EQ(fs::file_size(tree() + "/bin/tool"), 10u);
  EXPECT_NE(fs::status(tree() + "/bin/tool").permissions() & fs::perms::owner_exec,
            fs::perms::none);
}

TEST_F(ArchiveTest, RefusesNamesThatLeadOut) {
  std::ofstream(in() + "/file") << "x";
  Tar("--transform 's,^./file,../file,'");
  EXPECT_EQ(Refusal(), "the entry '../file' has '..' in its name");
  Tar("--transform 's,^./file,a/../../file,'");
  EXPECT_EQ(Refusal(), "the entry 'a/../../file' has '..' in its name");
  Tar("--transform 's,^./file,/tmp/firn-archive-test,'");
  EXPECT_EQ(Refusal(), "the entry '/tmp/firn-archive-test' has an absolute name");
  EXPECT_FALSE(fs::exists(directory_.path() + "/file"));
}

TEST_F(ArchiveTest, RefusesLinksThatLeadOut) {
  for (const char* target : {"..", "../tree2", "/etc/passwd", "sub/../../x"}) {
    fs::remove(in() + "/link");
    fs::create_symlink(target, in() + "/link");
    Tar("");
    EXPECT_EQ(Refusal(),
              "the entry './link' is a link out of the archive, to '" + std::string(target) + "'");
  }
}

TEST_F(ArchiveTest, RefusesHardLinksThatLeadOut) {
  std::ofstream(in() + "/a") << "x";
  fs::create_hard_link(in() + "/a", in() + "/b");
  Tar("--transform 'flags=h;s,^.*$,/etc/passwd,'");
  EXPECT_TRUE(Refusal().ends_with(" has an absolute name")) << Refusal();
}

TEST_F(ArchiveTest, RefusesFifos) {
  ASSERT_EQ(system(("mkfifo '" + in() + "/fifo'").c_str()), 0);
  Tar("");
  EXPECT_EQ(Refusal(), "the entry './fifo' is a device node, a socket or a fifo");
}

TEST_F(ArchiveTest, WritesNothingThroughALinkInTheArchive) {
  // A link that stays inside, and then a file below it.
  fs::create_directory(in() + "/real");
  fs::create_symlink("real", in() + "/link");
  Tar("");
  fs::remove(in() + "/link");
  fs::create_directory(in() + "/link");
  std::ofstream(in() + "/link/file") << "x";
  ASSERT_EQ(system(("cd '" + in() + "' && tar -rf ../a.tar ./link/file").c_str()), 0);
  EXPECT_NE(Refusal(), "");
  EXPECT_FALSE(fs::exists(tree() + "/real/file"));
}

TEST_F(ArchiveTest, RefusesWhatIsCutShort) {
  std::ofstream(in() + "/file") << std::string(100000, 'x');
  Tar("");
  fs::resize_file(archive(), 50000);
  EXPECT_TRUE(Refusal().starts_with("cannot be unpacked: ")) << Refusal();
  std::ofstream(archive()) << "no archive at all, but long enough to be looked at";
  EXPECT_TRUE(Refusal().starts_with("cannot be unpacked: ")) << Refusal();
}

TEST_F(ArchiveTest, LocksArePackedAlike) {
  const std::string packed = PackLocks({{"b", "2"}, {"a.toml", std::string(2000, 'x')}});
  EXPECT_EQ(packed, PackLocks({{"a.toml", std::string(2000, 'x')}, {"b", "2"}}));
  std::ofstream(archive()) << packed;
  Unpack();
  EXPECT_EQ(fs::file_size(tree() + "/a.toml"), 2000u);
  EXPECT_EQ(fs::file_size(tree() + "/b"), 1u);
}

}  // namespace
}  // namespace firn
