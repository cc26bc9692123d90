#include "format/source_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string>

#include "format/error.h"

namespace firn {
namespace {

class SourceFileTest : public testing::Test {
 protected:
  SourceFileTest() {
    std::string name = testing::TempDir() + "/source.XXXXXX";
    directory_ = mkdtemp(name.data());
    fd_ = OpenFile(directory_, O_RDONLY | O_DIRECTORY, ErrorKind::kInput);
  }
  ~SourceFileTest() override { std::filesystem::remove_all(directory_); }

  void Write(const std::string& name, const std::string& content) const {
    std::ofstream(directory_ + "/" + name, std::ios::trunc) << content;
  }
  SourceStamp Stamp(const std::string& name) const {
    struct stat status;
    EXPECT_EQ(lstat((directory_ + "/" + name).c_str(), &status), 0);
    return SourceStamp::Of(status);
  }
  SourceFile Open(const std::string& name, const SourceStamp& stamp) const {
    return SourceFile(fd_.get(), name, "shown/" + name, stamp);
  }
  template <typename Call>
  static void ExpectInputError(const Call& call, const std::string& message) {
    try {
      call();
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInput);
      EXPECT_EQ(error.path(), "shown/file");
      EXPECT_NE(error.message().find(message), std::string::npos) << error.what();
    }
  }

  std::string directory_;
  FileDescriptor fd_;
  std::array<std::byte, 4> buffer_{};
};

TEST_F(SourceFileTest, ReadsInPieces) {
  Write("file", "abcdef");
  SourceFile file = Open("file", Stamp("file"));
  EXPECT_EQ(file.size(), 6u);
  EXPECT_EQ(file.Read(buffer_).size(), 4u);
  EXPECT_EQ(file.Read(buffer_).size(), 2u);
  EXPECT_EQ(buffer_[0], std::byte{'e'});
  EXPECT_TRUE(file.Read(buffer_).empty());
  file.Rewind();
  EXPECT_EQ(file.Read(buffer_).size(), 4u);
  EXPECT_EQ(buffer_[0], std::byte{'a'});
  file.CheckUnchanged();
}

TEST_F(SourceFileTest, TellsOfAChangeBeforeItIsOpened) {
  Write("file", "abcdef");
  const SourceStamp stamp = Stamp("file");
  Write("file", "abcdefg");
  ExpectInputError([&] { Open("file", stamp); }, "changed");
}

TEST_F(SourceFileTest, TellsOfAChangeWhileItIsRead) {
  Write("file", "abcdef");
  SourceFile file = Open("file", Stamp("file"));
  file.Read(buffer_);
  // The same length: the times tell.
  const std::array<timespec, 2> times{timespec{1, 0}, timespec{1, 0}};
  Write("file", "ABCDEF");
  ASSERT_EQ(utimensat(fd_.get(), "file", times.data(), 0), 0);
  ExpectInputError([&] { file.CheckUnchanged(); }, "changed");
}

TEST_F(SourceFileTest, TellsOfAFileThatGotShorter) {
  Write("file", "abcdef");
  SourceFile file = Open("file", Stamp("file"));
  Write("file", "a");
  ExpectInputError([&] { file.Read(buffer_); }, "changed");
}

TEST_F(SourceFileTest, TellsOfAFileThatVanished) {
  Write("file", "abcdef");
  const SourceStamp stamp = Stamp("file");
  ASSERT_EQ(unlinkat(fd_.get(), "file", 0), 0);
  ExpectInputError([&] { Open("file", stamp); }, "vanished");
}

TEST_F(SourceFileTest, FollowsNoSymlinkThatTookTheFilesPlace) {
  Write("file", "abcdef");
  Write("other", "abcdef");
  const SourceStamp stamp = Stamp("file");
  ASSERT_EQ(unlinkat(fd_.get(), "file", 0), 0);
  ASSERT_EQ(symlinkat("other", fd_.get(), "file"), 0);
  ExpectInputError([&] { Open("file", stamp); }, "cannot read");
}

TEST_F(SourceFileTest, DoesNotWaitForAFifoThatTookTheFilesPlace) {
  Write("file", "");
  const SourceStamp stamp = Stamp("file");
  ASSERT_EQ(unlinkat(fd_.get(), "file", 0), 0);
  ASSERT_EQ(mkfifoat(fd_.get(), "file", 0600), 0);
  ExpectInputError([&] { Open("file", stamp); }, "changed");
}

TEST_F(SourceFileTest, OpensPathsLongerThanTheSystemTakes) {
  const std::string part(200, 'd');
  FileDescriptor at = OpenFile(directory_, O_RDONLY | O_DIRECTORY, ErrorKind::kInput);
  std::string path;
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(mkdirat(at.get(), part.c_str(), 0700), 0);
    at = FileDescriptor(openat(at.get(), part.c_str(), O_RDONLY | O_DIRECTORY));
    path += part + "/";
  }
  const FileDescriptor made(openat(at.get(), "file", O_WRONLY | O_CREAT, 0600));
  ASSERT_TRUE(made.valid());
  ASSERT_EQ(write(made.get(), "deep", 4), 4);
  const FileDescriptor found = OpenBelow(fd_.get(), path + "file", O_RDONLY);
  ASSERT_TRUE(found.valid());
  EXPECT_EQ(ReadAt(found.get(), 0, buffer_), 4u);
  EXPECT_FALSE(OpenBelow(fd_.get(), std::string(5000, 'x'), O_RDONLY).valid());
}

}  // namespace
}  // namespace firn
