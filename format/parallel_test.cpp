#include "format/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

namespace firn {
namespace {

TEST(ParallelFor, CallsEachIndexOnce) {
  for (const unsigned jobs : {0u, 1u, 2u, 8u}) {
    std::vector<std::atomic<int>> calls(1000);
    ParallelFor(jobs, calls.size(), [&](uint64_t i) { calls[i].fetch_add(1); });
    for (const auto& count : calls) EXPECT_EQ(count.load(), 1);
  }
}

TEST(ParallelFor, DoesNothingForNothing) {
  ParallelFor(4, 0, [](uint64_t) { FAIL(); });
}

TEST(ParallelFor, ThrowsOnWhatAWorkerThrowsAndStopsEarly) {
  std::atomic<uint64_t> calls{0};
  EXPECT_THROW(ParallelFor(4, 1u << 30,
                           [&](uint64_t i) {
                             calls.fetch_add(1);
                             if (i == 100) throw std::runtime_error("index 100");
                           }),
               std::runtime_error);
  EXPECT_LT(calls.load(), 1u << 30);
}

}  // namespace
}  // namespace firn
