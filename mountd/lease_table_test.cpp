#include "mountd/lease_table.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "format/error.h"

namespace firn {
namespace {

constexpr ShareNumber kShare{7};
constexpr ShareNumber kOther{8};

Lease Named(std::string name, uid_t holder, ShareNumber share = kShare) {
  Lease lease;
  lease.kind = LeaseKind::kName;
  lease.name = std::move(name);
  lease.holder = holder;
  lease.share = share;
  return lease;
}

TEST(LeaseTableTest, ANameIsEndedByItsHolderAndRootAlone) {
  LeaseTable table;
  table.Add(Named("job-1", 1000));
  EXPECT_THROW(table.EndName("job-1", 1001), Error);
  EXPECT_THROW(table.EndName("job-2", 1000), Error);
  EXPECT_TRUE(table.HasLeases(kShare));
  EXPECT_EQ(table.EndName("job-1", 1000), std::vector{kShare});
  EXPECT_FALSE(table.HasLeases(kShare));
  table.Add(Named("job-1", 1000));
  EXPECT_EQ(table.EndName("job-1", 0), std::vector{kShare});
}

TEST(LeaseTableTest, ANameMayHoldSeveralImagesAndEachOnce) {
  LeaseTable table;
  table.Add(Named("job", 1000));
  table.Add(Named("job", 1000));
  table.Add(Named("job", 1000, kOther));
  EXPECT_EQ(table.leases().size(), 2u);
  EXPECT_EQ(table.EndName("job", 1000).size(), 2u);
}

TEST(LeaseTableTest, AnothersNameCannotBeTaken) {
  LeaseTable table;
  table.Add(Named("job", 1000));
  EXPECT_THROW(table.Add(Named("job", 1001)), Error);
  EXPECT_THROW(table.Add(Named("job", 0, kOther)), Error);
}

TEST(LeaseTableTest, NamesThatAreNone) {
  LeaseTable table;
  for (const std::string& name : {std::string(), std::string(256, 'x'), std::string("a\nb")}) {
    EXPECT_THROW(table.Add(Named(name, 1000)), Error) << name;
  }
  table.Add(Named(std::string(255, 'x'), 1000));
}

TEST(LeaseTableTest, AUserMayHoldSoMany) {
  LeaseTable table;
  for (size_t i = 0; i < LeaseTable::kMostOfUser; ++i) {
    table.Add(Named("job-" + std::to_string(i), 1000));
  }
  EXPECT_THROW(table.Add(Named("one more", 1000)), Error);
  table.Add(Named("another user's", 1001));
}

TEST(LeaseTableTest, AProcessEndsItsLeases) {
  LeaseTable table;
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    pause();
    _exit(0);
  }
  Lease lease;
  lease.share = kShare;
  lease.process = FileDescriptor(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
  table.Add(std::move(lease));
  std::vector<pollfd> set;
  table.AppendPollSet(set);
  ASSERT_EQ(set.size(), 1u);
  EXPECT_EQ(poll(set.data(), set.size(), 0), 0);
  EXPECT_TRUE(table.EndProcesses(set).empty());
  kill(child, SIGKILL);
  EXPECT_EQ(poll(set.data(), set.size(), 10'000), 1);
  EXPECT_EQ(table.EndProcesses(set), std::vector{kShare});
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(table.leases().empty());
}

TEST(LeaseTableTest, AMountEndsItsLease) {
  LeaseTable table;
  Lease lease;
  lease.kind = LeaseKind::kMount;
  lease.share = kShare;
  lease.mount_id = 12;
  table.Add(std::move(lease));
  MountEntry entry;
  entry.id = 12;
  EXPECT_TRUE(table.EndMounts({entry}).empty());
  entry.id = 13;
  EXPECT_EQ(table.EndMounts({entry}), std::vector{kShare});
}

}  // namespace
}  // namespace firn
