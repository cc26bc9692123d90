#include "mountd/process_identity.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "mountd/subprocess.h"

namespace firn {
namespace {

bool HasEndedProcess(const FileDescriptor& pidfd) {
  pollfd entry{pidfd.get(), POLLIN, 0};
  return poll(&entry, 1, 60'000) == 1;
}

TEST(ProcessIdentity, OpensTheProcessThatItNames) {
  const pid_t pid = Spawn({"sleep", "600"}, {});
  ASSERT_GT(pid, 0);
  const ProcessIdentity identity = IdentityOf(pid);
  EXPECT_EQ(identity.pid, pid);
  const FileDescriptor pidfd = OpenProcess(identity);
  ASSERT_TRUE(pidfd.valid());
  kill(pid, SIGKILL);
  EXPECT_TRUE(HasEndedProcess(pidfd));
  WaitForExit(pid);
  EXPECT_FALSE(OpenProcess(identity).valid());
  EXPECT_EQ(IdentityOf(pid), ProcessIdentity{});
}

TEST(ProcessIdentity, RefusesAnotherProcessOfTheSameNumber) {
  ProcessIdentity other = IdentityOf(getpid());
  ASSERT_NE(other.started, 0u);
  --other.started;
  EXPECT_FALSE(OpenProcess(other).valid());
  EXPECT_FALSE(OpenProcess(ProcessIdentity{.pid = getpid()}).valid());
}

}  // namespace
}  // namespace firn
