#include "cli/progress.h"

#include <gtest/gtest.h>

#include <string>

namespace firn {
namespace {

using Unit = ProgressBar::Unit;

TEST(FormatBytes, UsesTheLargestUnitThatFits) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1024), "1.0 KiB");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatBytes((1u << 20) - 1), "1.0 MiB");
  EXPECT_EQ(FormatBytes(uint64_t{5} << 30), "5.0 GiB");
  EXPECT_EQ(FormatBytes(~uint64_t{0}), "16.0 EiB");
}

TEST(FormatProgress, ShowsABarWhereTheTotalIsKnown) {
  EXPECT_EQ(FormatProgress("writing", 5, 0, Unit::kCount, 80), "writing 5");
  EXPECT_EQ(FormatProgress("writing", 0, 1024, Unit::kBytes, 80),
            "writing [" + std::string(30, '.') + "] 0 % of 1.0 KiB");
  EXPECT_EQ(FormatProgress("writing", 512, 1024, Unit::kBytes, 80),
            "writing [" + std::string(15, '#') + std::string(15, '.') + "] 50 % of 1.0 KiB");
  EXPECT_EQ(FormatProgress("writing", 2000, 1024, Unit::kCount, 80),
            "writing [" + std::string(30, '#') + "] 100 % of 1024");
}

TEST(FormatProgress, FitsTheTerminal) {
  for (const size_t columns : {0u, 1u, 10u, 50u}) {
    const std::string line = FormatProgress("writing", 1, 2, Unit::kBytes, columns);
    EXPECT_LE(line.size(), columns == 0 ? 0 : columns - 1);
  }
}

}  // namespace
}  // namespace firn
