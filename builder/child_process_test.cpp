#include "builder/child_process.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "builder/temporary_directory.h"
#include "format/error.h"
#include "format/file.h"

namespace firn {
namespace {

class ChildProcessTest : public testing::Test {
 protected:
  ChildProcess::Command Shell(const std::string& script) const {
    return {.arguments = {"/bin/sh", "-c", script},
            .environment = {"WORD=value"},
            .directory = directory_.path(),
            .error_log = directory_.path() + "/log"};
  }

  const TemporaryDirectory directory_;
};

TEST_F(ChildProcessTest, GivesLinesAndStatus) {
  ChildProcess child(Shell("echo one; echo $WORD; pwd; echo oops >&2; printf cut; exit 3"));
  std::vector<std::string> lines;
  const int status =
      child.ReadLines([&](const std::string& line) { lines.push_back(line); }, [] {});
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 3);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0], "one");
  EXPECT_EQ(lines[1], "value");
  EXPECT_EQ(std::filesystem::path(lines[2]), std::filesystem::canonical(directory_.path()));
  std::ifstream log(directory_.path() + "/log");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(log), {}), "oops\n");
}

TEST_F(ChildProcessTest, SaysWhatCannotBeRun) {
  ChildProcess::Command command = Shell("");
  command.arguments = {directory_.path() + "/nothing"};
  try {
    const ChildProcess child(command);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInput);
    EXPECT_EQ(error.path(), directory_.path() + "/nothing");
  }
}

TEST_F(ChildProcessTest, EndsAllThatItStarted) {
  pid_t grandchild = 0;
  FileDescriptor process;
  {
    ChildProcess child(Shell("sleep 1000 & echo $!; wait"));
    const auto take = [&](const std::string& line) {
      grandchild = std::stoi(line);
      throw Error(ErrorKind::kInterrupted, "enough");
    };
    EXPECT_THROW(child.ReadLines(take, [] {}), Error);
    ASSERT_GT(grandchild, 0);
    EXPECT_EQ(kill(grandchild, 0), 0);
    process = FileDescriptor(static_cast<int>(syscall(SYS_pidfd_open, grandchild, 0)));
    ASSERT_TRUE(process.valid());
  }
  // It was killed, and is nobody's to wait for but its new parent's: it may yet be on its way out.
  pollfd entry{process.get(), POLLIN, 0};
  EXPECT_EQ(poll(&entry, 1, 60'000), 1);
}

TEST_F(ChildProcessTest, MayBeGivenUpWhileItSaysNothing) {
  ChildProcess child(Shell("sleep 1000"));
  int calls = 0;
  const auto poll = [&] {
    if (++calls == 2) throw Error(ErrorKind::kInterrupted, "enough");
  };
  EXPECT_THROW(child.ReadLines([](const std::string&) {}, poll), Error);
}

TEST(TemporaryDirectory, IsPrivateAndGoesWithAllThatIsInIt) {
  std::string path;
  {
    const TemporaryDirectory directory;
    path = directory.path();
    EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms::owner_all);
    std::filesystem::create_directories(path + "/a/b");
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(TemporaryDirectory, NamesTheDirectoryThatCannotHoldIt) {
  const char* before = getenv("TMPDIR");
  const std::string saved = before != nullptr ? before : "";
  setenv("TMPDIR", "/proc/nowhere", 1);
  try {
    const TemporaryDirectory directory;
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kOutput);
    EXPECT_EQ(error.path(), "/proc/nowhere");
  }
  if (before != nullptr) {
    setenv("TMPDIR", saved.c_str(), 1);
  } else {
    unsetenv("TMPDIR");
  }
}

}  // namespace
}  // namespace firn
