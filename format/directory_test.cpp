#include "format/directory.h"

#include <gtest/gtest.h>

#include <string>

namespace firn {
namespace {

TEST(IsPossibleNameTest, TakesTheNamesOfFiles) {
  for (const char* name : {"a", "...", "..a", ".a", "a b", "\xff\xfe", "new\nline"}) {
    EXPECT_TRUE(IsPossibleName(name)) << name;
  }
  EXPECT_TRUE(IsPossibleName(std::string(255, 'x')));
}

TEST(IsPossibleNameTest, RefusesWhatNoDirectoryMayHave) {
  using std::string_view_literals::operator""sv;
  for (const std::string_view name :
       {""sv, "."sv, ".."sv, "/"sv, "a/b"sv, "/a"sv, "a\0b"sv, "\0"sv}) {
    EXPECT_FALSE(IsPossibleName(name)) << name;
  }
  EXPECT_FALSE(IsPossibleName(std::string(256, 'x')));
}

}  // namespace
}  // namespace firn
