#include "mountd/error_log.h"

#include <gtest/gtest.h>

#include <string>

namespace firn {
namespace {

using std::chrono::seconds;

class ErrorLogTest : public testing::Test {
 protected:
  // How many of messages [first, end) are admitted.
  int Admitted(ErrorLog& log, int first, int end, int second) const {
    int admitted = 0;
    for (int i = first; i < end; ++i) {
      admitted += log.Admit("message " + std::to_string(i), start_ + seconds(second)) ? 1 : 0;
    }
    return admitted;
  }

  const RateLimiter::Clock::time_point start_ = RateLimiter::Clock::now();
};

TEST_F(ErrorLogTest, TheSameIsLoggedOnce) {
  ErrorLog log;
  EXPECT_EQ(log.Admit("one", start_), 0u);
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(log.Admit("one", start_ + seconds(i)));
  EXPECT_EQ(log.Admit("another", start_ + seconds(1)), 0u);
}

TEST_F(ErrorLogTest, SoManyInAWhileAndWhatWasLeftOutComesLater) {
  ErrorLog log;
  EXPECT_EQ(Admitted(log, 0, 100, 0), 20);
  EXPECT_EQ(log.Admit("message 50", start_ + seconds(11)), 80u);
  EXPECT_EQ(log.Admit("message 51", start_ + seconds(11)), 0u);
}

TEST_F(ErrorLogTest, OneLogSilencesNoOther) {
  ErrorLog hostile;
  ErrorLog other;
  EXPECT_EQ(Admitted(hostile, 0, 10'000, 0), 20);
  EXPECT_EQ(Admitted(other, 0, 10, 0), 10);
}

TEST_F(ErrorLogTest, WhatIsRememberedIsBounded) {
  ErrorLog log;
  for (int window = 0; window < 100; ++window) {
    EXPECT_EQ(Admitted(log, window * 20, window * 20 + 20, window * 10), 20) << window;
  }
  // Long enough ago.
  EXPECT_EQ(Admitted(log, 0, 20, 2000), 20);
}

}  // namespace
}  // namespace firn
