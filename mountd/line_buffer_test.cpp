#include "mountd/line_buffer.h"

#include <gtest/gtest.h>

namespace firn {
namespace {

TEST(LineBufferTest, GivesALineOnlyWhenItIsWhole) {
  LineBuffer buffer(100);
  buffer.Append("{\"op\":");
  EXPECT_FALSE(buffer.NextLine());
  buffer.Append("\"status\"}");
  EXPECT_FALSE(buffer.NextLine());
  buffer.Append("\n");
  EXPECT_EQ(buffer.NextLine(), "{\"op\":\"status\"}");
  EXPECT_FALSE(buffer.NextLine());
}

TEST(LineBufferTest, KeepsWhatFollows) {
  LineBuffer buffer(100);
  buffer.Append("a\n\nb\nc");
  EXPECT_EQ(buffer.NextLine(), "a");
  EXPECT_EQ(buffer.NextLine(), "");
  EXPECT_EQ(buffer.NextLine(), "b");
  EXPECT_FALSE(buffer.NextLine());
  buffer.Append("d\n");
  EXPECT_EQ(buffer.NextLine(), "cd");
}

TEST(LineBufferTest, KnowsALineWithoutEnd) {
  LineBuffer buffer(4);
  buffer.Append("abcd");
  EXPECT_FALSE(buffer.overlong());
  buffer.Append("e");
  EXPECT_TRUE(buffer.overlong());
}

}  // namespace
}  // namespace firn
