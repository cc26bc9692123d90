#include "mountd/tree.h"

#include <gtest/gtest.h>

#include <string>

namespace firn {
namespace {

TEST(IsSafeNameTest, TakesTheNamesOfFiles) {
  for (const char* name : {"a", "...", "..a", ".a", "a b", "\xff\xfe", "new\nline"}) {
    EXPECT_TRUE(IsSafeName(name)) << name;
  }
  EXPECT_TRUE(IsSafeName(std::string(255, 'x')));
}

TEST(IsSafeNameTest, RefusesWhatTheKernelMustNotSee) {
  using std::string_view_literals::operator""sv;
  for (const std::string_view name :
       {""sv, "."sv, ".."sv, "/"sv, "a/b"sv, "/a"sv, "a\0b"sv, "\0"sv}) {
    EXPECT_FALSE(IsSafeName(name)) << name;
  }
  EXPECT_FALSE(IsSafeName(std::string(256, 'x')));
}

}  // namespace
}  // namespace firn
