#include "mountd/opcode_counters.h"

#include <gtest/gtest.h>
#include <linux/fuse.h>

#include <map>
#include <thread>
#include <vector>

namespace firn {
namespace {

using Counts = std::map<std::string, uint64_t>;

void Count(OpcodeCounters& counters, uint32_t opcode) {
  fuse_in_header header{};
  header.len = sizeof header;
  header.opcode = opcode;
  counters.Count(std::as_bytes(std::span(&header, 1)));
}

TEST(OpcodeCountersTest, StartEmpty) {
  const OpcodeCounters counters;
  EXPECT_EQ(counters.Total(), 0u);
  EXPECT_TRUE(counters.Snapshot().empty());
}

TEST(OpcodeCountersTest, CountByName) {
  OpcodeCounters counters;
  Count(counters, FUSE_LOOKUP);
  Count(counters, FUSE_READ);
  Count(counters, FUSE_READ);
  Count(counters, FUSE_IOCTL);
  EXPECT_EQ(counters.Snapshot(), (Counts{{"LOOKUP", 1}, {"READ", 2}, {"IOCTL", 1}}));
  EXPECT_EQ(counters.Total(), 4u);
}

TEST(OpcodeCountersTest, CountOpcodesWithoutAName) {
  OpcodeCounters counters;
  Count(counters, 7);
  Count(counters, 100);
  Count(counters, 5000);
  Count(counters, UINT32_MAX);
  EXPECT_EQ(counters.Snapshot(), (Counts{{"OPCODE_7", 1}, {"OPCODE_100", 1}, {"OTHER", 2}}));
}

TEST(OpcodeCountersTest, CountWhatIsTooShort) {
  OpcodeCounters counters;
  const std::vector<std::byte> shorter(sizeof(fuse_in_header) - 1);
  counters.Count(shorter);
  EXPECT_EQ(counters.Snapshot(), (Counts{{"malformed", 1}}));
  EXPECT_EQ(counters.Total(), 1u);
}

TEST(OpcodeCountersTest, LoseNothingBetweenThreads) {
  OpcodeCounters counters;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; ++n) Count(counters, FUSE_GETATTR);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counters.Snapshot(), (Counts{{"GETATTR", 4000}}));
}

}  // namespace
}  // namespace firn
