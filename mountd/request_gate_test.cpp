#include "mountd/request_gate.h"

#include <gtest/gtest.h>
#include <linux/fuse.h>

#include <cstring>
#include <thread>
#include <vector>

#include "mountd/node.h"

namespace firn {
namespace {

constexpr SlotNumber kHung{1};
constexpr SlotNumber kWell{2};

// As the kernel writes it.
template <typename Body>
std::vector<std::byte> RequestFor(uint32_t opcode, SlotNumber slot, uint64_t unique,
                                  const Body& body) {
  fuse_in_header header{};
  header.len = sizeof header + sizeof body;
  header.opcode = opcode;
  header.unique = unique;
  header.nodeid = MakeNodeId(slot, InodeNumber{5});
  std::vector<std::byte> request(header.len);
  std::memcpy(request.data(), &header, sizeof header);
  std::memcpy(request.data() + sizeof header, &body, sizeof body);
  return request;
}

std::vector<std::byte> ReadOf(SlotNumber slot, uint64_t unique) {
  fuse_read_in body{};
  body.offset = unique * 4096;
  body.size = 4096;
  return RequestFor(FUSE_READ, slot, unique, body);
}

std::vector<std::byte> Bytes(ByteSpan span) { return {span.begin(), span.end()}; }

class RequestGateTest : public testing::Test {
 protected:
  RequestGateTest() {
    gate_.Add(kHung, FileSystemId{10}, /*is_open=*/true);
    gate_.Add(kWell, FileSystemId{11}, /*is_open=*/true);
  }

  std::vector<RequestGate::Pass> Fill(SlotNumber slot) {
    std::vector<RequestGate::Pass> passes;
    for (unsigned i = 0; i < RequestGate::kMostOfOne; ++i) {
      const auto entry = gate_.Enter(ReadOf(slot, i + 1));
      // On a machine that is slow, it is soon taken not to answer.
      if (!entry.pass) break;
      passes.push_back(*entry.pass);
    }
    return passes;
  }

  SessionMemory memory_;
  RequestGate gate_{memory_, RootLayout::kSlots, 1};
};

TEST_F(RequestGateTest, OneFileSystemTakesSoManyAndLeavesOthersAlone) {
  const auto passes = Fill(kHung);
  EXPECT_GE(passes.size(), 1u);
  std::vector<std::byte> late = ReadOf(kHung, 1000);
  while (!gate_.Enter(late).is_parked) late = ReadOf(kHung, 1000);
  EXPECT_FALSE(gate_.HasReady());
  EXPECT_TRUE(gate_.Enter(ReadOf(kWell, 2000)).pass);
}

TEST_F(RequestGateTest, WhatIsParkedIsTakenWhenOneIsDone) {
  const auto passes = Fill(kHung);
  std::vector<std::vector<std::byte>> parked;
  for (uint64_t unique = 1000; parked.size() < 3; ++unique) {
    const auto request = ReadOf(kHung, unique);
    if (gate_.Enter(request).is_parked) parked.push_back(request);
  }
  for (const auto pass : passes) gate_.Leave(pass);
  for (const auto& request : parked) {
    const auto taken = gate_.Take();
    ASSERT_TRUE(taken);
    EXPECT_EQ(Bytes(memory_.ParkedRequest(taken->entry)), request);
    gate_.Finish(*taken);
    EXPECT_TRUE(memory_.ParkedRequest(taken->entry).empty());
  }
  EXPECT_FALSE(gate_.Take());
}

TEST_F(RequestGateTest, AFileSystemThatAnswersNothingGetsFewThreads) {
  const auto first = gate_.Enter(ReadOf(kHung, 1));
  ASSERT_TRUE(first.pass);
  std::this_thread::sleep_for(2 * RequestGate::kPatience);  // the time that it is about
  EXPECT_TRUE(gate_.Enter(ReadOf(kHung, 2)).is_parked);
  gate_.Leave(*first.pass);
  EXPECT_TRUE(gate_.Take());
}

TEST_F(RequestGateTest, WhatIsForAnImageThatIsBeingOpenedWaitsForThat) {
  constexpr SlotNumber kOpening{3};
  gate_.Add(kOpening, FileSystemId{12}, /*is_open=*/false);
  EXPECT_TRUE(gate_.Enter(ReadOf(kOpening, 1)).is_parked);
  EXPECT_FALSE(gate_.Take());
  gate_.SetOpen(kOpening);
  EXPECT_TRUE(gate_.HasReady());
  EXPECT_TRUE(gate_.Take());
}

TEST_F(RequestGateTest, ReferencesToAnImageThatIsBeingOpenedAreGivenBack) {
  gate_.Add(SlotNumber{3}, FileSystemId{12}, /*is_open=*/false);
  memory_.state().lookups[3].store(5);
  memory_.state().lookups[ToInt(kWell)].store(5);
  for (const SlotNumber slot : {SlotNumber{3}, kWell}) {
    EXPECT_TRUE(gate_.Enter(RequestFor(FUSE_FORGET, slot, 0, fuse_forget_in{.nlookup = 2})).pass);
  }
  EXPECT_EQ(memory_.state().lookups[3].load(), 3u);
  EXPECT_EQ(memory_.state().lookups[ToInt(kWell)].load(), 5u);  // for the handler to do
}

TEST_F(RequestGateTest, AnotherWorkerTakesOverWhatIsParked) {
  gate_.Add(SlotNumber{3}, FileSystemId{12}, /*is_open=*/false);
  const auto request = ReadOf(SlotNumber{3}, 77);
  ASSERT_TRUE(gate_.Enter(request).is_parked);
  RequestGate next(memory_, RootLayout::kSlots, 1);
  next.Add(SlotNumber{3}, FileSystemId{12}, /*is_open=*/true);
  next.TakeOver();
  const auto read_before = ReadOf(SlotNumber{3}, 78);
  EXPECT_TRUE(next.Adopt(read_before));
  for (const auto& expected : {request, read_before}) {
    const auto taken = next.Take();
    ASSERT_TRUE(taken);
    EXPECT_EQ(Bytes(memory_.ParkedRequest(taken->entry)), expected);
    next.Finish(*taken);
  }
}

TEST_F(RequestGateTest, WithNoEntryLeftTheThreadWaitsUntilItCloses) {
  constexpr SlotNumber kOpening{3};
  gate_.Add(kOpening, FileSystemId{12}, /*is_open=*/false);
  constexpr size_t kParkable = kMostParked - kMostServingThreads;
  for (size_t i = 0; i < kParkable; ++i) {
    ASSERT_TRUE(gate_.Enter(ReadOf(kOpening, i + 1)).is_parked);
  }
  RequestGate::Entry entry{.pass = RequestGate::Pass(), .is_parked = true};
  std::thread waiting([&] { entry = gate_.Enter(ReadOf(kOpening, kParkable + 1)); });
  EXPECT_TRUE(gate_.Adopt(ReadOf(kOpening, kParkable + 2)));  // what a dead worker left has room
  gate_.Close();
  waiting.join();
  EXPECT_FALSE(entry.pass);
  EXPECT_FALSE(entry.is_parked);
}

}  // namespace
}  // namespace firn
