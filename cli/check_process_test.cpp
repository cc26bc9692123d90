#include "cli/check_process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "format/error.h"
#include "mountd/namespace.h"
#include "mountd/subprocess.h"

namespace firn {
namespace {

struct Outcome {
  IsolatedResult result;
  std::string output;
};

// The command's result, from a process that may make namespaces; nothing where the machine lets
// nobody make them.
std::optional<Outcome> RunCommand(const std::vector<std::string>& arguments,
                                  std::chrono::seconds timeout = std::chrono::seconds(300)) {
  Pipe output = MakePipe();
  Pipe results = MakePipe();
  const pid_t pid = fork();
  if (pid == 0) {
    try {
      EnterJobNamespace();
      const IsolatedResult result =
          RunIsolated({.arguments = arguments,
                       .environment = {{"PATH", "/usr/bin:/bin"}, {"X", "y"}},
                       .directory = "/",
                       .timeout = timeout,
                       .output = output.write_end.get()});
      const ssize_t put = write(results.write_end.get(), &result, sizeof result);
      _exit(put == sizeof result ? 0 : 1);
    } catch (const Error& error) {
      _exit(error.kind() == ErrorKind::kSystem ? 77 : 1);
    }
  }
  output.write_end.Close();
  results.write_end.Close();
  Outcome outcome;
  outcome.output = ReadAll(output.read_end.get(), 1 << 20);
  const ssize_t got = read(results.read_end.get(), &outcome.result, sizeof outcome.result);
  const int code = WaitForExit(pid);
  if (code == 77) return std::nullopt;
  EXPECT_EQ(code, 0);
  EXPECT_EQ(got, static_cast<ssize_t>(sizeof outcome.result));
  return outcome;
}

std::vector<std::string> Shell(const std::string& script) { return {"sh", "-c", script}; }

class CheckProcessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!RunCommand({"true"})) GTEST_SKIP() << "this machine allows no namespaces";
  }
};

TEST_F(CheckProcessTest, GivesTheExitCodeAndWhatIsPrinted) {
  const auto outcome = RunCommand(Shell("echo out; echo err >&2; echo $X$HOME; exit 7"));
  EXPECT_EQ(outcome->result.exit_code, 7);
  EXPECT_FALSE(outcome->result.timed_out);
  EXPECT_EQ(outcome->output, "out\nerr\ny\n");
}

TEST_F(CheckProcessTest, TellsSignalsAndProgramsThatAreMissing) {
  EXPECT_EQ(RunCommand(Shell("kill -ABRT $$"))->result.exit_code, 128 + SIGABRT);
  const auto missing = RunCommand({"no-such-program"});
  EXPECT_EQ(missing->result.exit_code, 127);
  EXPECT_NE(missing->output.find("no-such-program"), std::string::npos);
  EXPECT_EQ(RunCommand({"/etc/passwd"})->result.exit_code, 126);
}

TEST_F(CheckProcessTest, EndsWhatDoesNotEndByItself) {
  // The pipe comes to its end only when none of them is left.
  const auto outcome =
      RunCommand(Shell("trap '' TERM INT HUP; setsid sleep 1000 & echo started; sleep 1000"),
                 std::chrono::seconds(1));
  EXPECT_TRUE(outcome->result.timed_out);
  EXPECT_EQ(outcome->output, "started\n");
}

TEST_F(CheckProcessTest, LeavesNoProcessBehind) {
  const auto outcome = RunCommand(Shell("setsid sleep 1000 & exit 0"));
  EXPECT_EQ(outcome->result.exit_code, 0);
}

TEST_F(CheckProcessTest, HasTheLoopbackOnly) {
  const auto outcome = RunCommand(Shell("tail -n +3 /proc/net/dev | cut -d: -f1"));
  EXPECT_EQ(outcome->output, "    lo\n");
  EXPECT_EQ(RunCommand(Shell("cat /sys/class/net/lo/flags /proc/net/fib_trie | grep -c 127.0.0.1"))
                ->result.exit_code,
            0);
}

}  // namespace
}  // namespace firn
