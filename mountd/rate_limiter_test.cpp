#include "mountd/rate_limiter.h"

#include <gtest/gtest.h>

namespace firn {
namespace {

using std::chrono::seconds;

TEST(RateLimiterTest, AdmitsABurstThenNothing) {
  RateLimiter limiter(2, seconds(10));
  const RateLimiter::Clock::time_point start(seconds(1000));
  EXPECT_EQ(limiter.Admit(start), 0u);
  EXPECT_EQ(limiter.Admit(start + seconds(1)), 0u);
  EXPECT_FALSE(limiter.Admit(start + seconds(2)));
  EXPECT_FALSE(limiter.Admit(start + seconds(9)));
}

TEST(RateLimiterTest, TellsHowManyWereLeftOut) {
  RateLimiter limiter(1, seconds(10));
  const RateLimiter::Clock::time_point start(seconds(1000));
  EXPECT_EQ(limiter.Admit(start), 0u);
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(limiter.Admit(start + seconds(i)));
  EXPECT_EQ(limiter.Admit(start + seconds(10)), 5u);
  EXPECT_FALSE(limiter.Admit(start + seconds(11)));
  EXPECT_EQ(limiter.Admit(start + seconds(30)), 1u);
}

}  // namespace
}  // namespace firn
