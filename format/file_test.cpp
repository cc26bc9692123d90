#include "format/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "format/error.h"

namespace firn {
namespace {

ByteSpan AsBytes(std::string_view text) { return std::as_bytes(std::span(text)); }

class FileTest : public testing::Test {
 protected:
  FileTest() {
    std::string name = testing::TempDir() + "/file.XXXXXX";
    directory_ = mkdtemp(name.data());
  }
  ~FileTest() override { std::filesystem::remove_all(directory_); }

  std::string Path(const std::string& name) const { return (directory_ / name).string(); }
  std::string Content(const std::string& name) const {
    std::ifstream file(directory_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  size_t CountFiles() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(directory_),
                                             std::filesystem::directory_iterator()));
  }
  static Error Refusal(const std::function<void()>& work) {
    try {
      work();
    } catch (const Error& error) {
      return error;
    }
    return {ErrorKind::kInternal, "nothing was refused"};
  }

  std::filesystem::path directory_;
};

TEST_F(FileTest, ADescriptorIsClosedByItsLastOwner) {
  FileDescriptor first = OpenFile(directory_.string(), O_RDONLY | O_DIRECTORY, ErrorKind::kInput);
  const int number = first.get();
  FileDescriptor second(std::move(first));
  first = std::move(second);
  EXPECT_EQ(first.get(), number);
  EXPECT_EQ(fcntl(number, F_GETFD), FD_CLOEXEC);
  const int released = first.Release();
  EXPECT_FALSE(first.valid());
  EXPECT_EQ(released, number);
  { const FileDescriptor owner(released); }
  EXPECT_EQ(fcntl(number, F_GETFD), -1);
}

TEST_F(FileTest, WhatCannotBeOpenedIsNamed) {
  const Error error = Refusal([&] { OpenFile(Path("absent"), O_RDONLY, ErrorKind::kMountPoint); });
  EXPECT_EQ(error.kind(), ErrorKind::kMountPoint);
  EXPECT_EQ(error.path(), Path("absent"));
  EXPECT_EQ(error.exit_code(), 8);
  EXPECT_NE(error.message().find("No such file"), std::string::npos);
}

TEST_F(FileTest, OpensBelowADirectoryOnly) {
  std::ofstream(Path("inside")) << "inside";
  std::filesystem::create_symlink("/etc/passwd", Path("link"));
  const FileDescriptor directory =
      OpenFile(directory_.string(), O_RDONLY | O_DIRECTORY, ErrorKind::kInput);
  const auto open_below = [&](const std::string& path, int flags) {
    return OpenWithin(directory.get(), path, flags, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
  };
  EXPECT_TRUE(open_below("inside", O_RDONLY).valid());
  EXPECT_FALSE(open_below("../" + directory_.filename().string() + "/inside", O_RDONLY).valid());
  EXPECT_EQ(errno, EXDEV);
  EXPECT_FALSE(open_below("link", O_RDONLY).valid());
  EXPECT_EQ(errno, ELOOP);
  const FileDescriptor made = open_below("new", O_CREAT | O_RDWR);
  struct stat status {};
  ASSERT_EQ(fstat(made.get(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
}

TEST_F(FileTest, ReadsLessOnlyAtTheEndAndFailuresAreDamage) {
  std::ofstream(Path("file")) << "0123456789";
  const FileDescriptor file = OpenFile(Path("file"), O_RDONLY, ErrorKind::kInput);
  std::array<std::byte, 8> buffer;
  EXPECT_EQ(ReadAt(file.get(), 1, buffer), 8u);
  EXPECT_EQ(buffer[0], std::byte{'1'});
  EXPECT_EQ(ReadAt(file.get(), 7, buffer), 3u);
  EXPECT_EQ(ReadAt(file.get(), 10, buffer), 0u);
  EXPECT_EQ(FileSize(file.get()), 10u);
  // A hint, after which the bytes are the same.
  DropCached(file.get(), 2, 5);
  EXPECT_EQ(ReadAt(file.get(), 1, buffer), 8u);
  const FileDescriptor directory =
      OpenFile(directory_.string(), O_RDONLY | O_DIRECTORY, ErrorKind::kInput);
  const Error error = Refusal([&] { ReadAt(directory.get(), 5, buffer); });
  EXPECT_EQ(error.kind(), ErrorKind::kDamaged);
  EXPECT_EQ(error.offset(), 5u);
  EXPECT_EQ(Refusal([] { FileSize(-1); }).message(), "cannot stat: Bad file descriptor");
}

TEST_F(FileTest, FailedWritesSayWhatToDo) {
  const FileDescriptor full = OpenFile("/dev/full", O_WRONLY, ErrorKind::kOutput);
  const Error error = Refusal([&] { WriteAt(full.get(), 0, AsBytes("text")); });
  EXPECT_EQ(error.kind(), ErrorKind::kOutput);
  EXPECT_NE(error.remedy().find("Free space"), std::string::npos);
  const Error other = Refusal([] { WriteAt(-1, 3, AsBytes("text")); });
  EXPECT_EQ(other.kind(), ErrorKind::kOutput);
  EXPECT_EQ(other.offset(), 3u);
  EXPECT_TRUE(other.remedy().empty());
}

TEST_F(FileTest, AnOutputAppearsWholeOrNotAtAll) {
  {
    OutputFile output(Path("file"), false);
    EXPECT_EQ(output.path(), Path("file"));
    WriteAt(output.fd(), 0, AsBytes("half"));
    EXPECT_FALSE(std::filesystem::exists(Path("file")));
    EXPECT_TRUE(std::filesystem::exists(output.temporary_path()));
  }
  EXPECT_EQ(CountFiles(), 0u);
  const mode_t mask = umask(0027);
  OutputFile output(Path("file"), false);
  umask(mask);
  WriteAt(output.fd(), 0, AsBytes("whole"));
  output.Commit();
  EXPECT_EQ(CountFiles(), 1u);
  EXPECT_EQ(Content("file"), "whole");
  struct stat status {};
  ASSERT_EQ(stat(Path("file").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0640u);
}

TEST_F(FileTest, WhatIsThereIsReplacedOnlyOnWish) {
  std::ofstream(Path("file")) << "former";
  EXPECT_NE(Refusal([&] { OutputFile(Path("file"), false); }).remedy().find("--force"),
            std::string::npos);
  OutputFile output(Path("file"), true);
  WriteAt(output.fd(), 0, AsBytes("new"));
  EXPECT_EQ(Content("file"), "former");
  output.Commit();
  EXPECT_EQ(Content("file"), "new");
  std::filesystem::create_directory(Path("directory"));
  EXPECT_EQ(Refusal([&] { OutputFile(Path("directory"), true); }).message(),
            "is not a regular file");
  EXPECT_EQ(CountFiles(), 2u);
}

TEST_F(FileTest, OneThatAppearedInTheMeantimeStays) {
  {
    OutputFile output(Path("file"), false);
    std::ofstream(Path("file")) << "somebody else's";
    const Error error = Refusal([&] { output.Commit(); });
    EXPECT_EQ(error.kind(), ErrorKind::kOutput);
    EXPECT_EQ(error.message(), "exists already");
  }
  EXPECT_EQ(Content("file"), "somebody else's");
  EXPECT_EQ(CountFiles(), 1u);
}

TEST_F(FileTest, ADirectoryThatIsNotThereIsNamed) {
  const Error error = Refusal([&] { OutputFile(Path("absent/file"), false); });
  EXPECT_EQ(error.kind(), ErrorKind::kOutput);
  EXPECT_NE(error.message().find("cannot create a file in " + Path("absent")), std::string::npos);
  // Gone before the file got its name.
  std::filesystem::create_directory(Path("gone"));
  OutputFile output(Path("gone/file"), true);
  std::filesystem::remove_all(Path("gone"));
  EXPECT_NE(Refusal([&] { output.Commit(); }).message().find("cannot rename the finished file"),
            std::string::npos);
}

}  // namespace
}  // namespace firn
