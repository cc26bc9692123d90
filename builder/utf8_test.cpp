#include "builder/utf8.h"

#include <gtest/gtest.h>

namespace firn {
namespace {

TEST(Utf8, KnowsWhatIsPrintable) {
  for (const char* text : {"", "plain", "größe", "\u00a0", "日本", "\U0001F600", "\u07ff"}) {
    EXPECT_TRUE(IsPrintableUtf8(text)) << text;
    EXPECT_EQ(EscapeForText(text), text);
  }
  for (const char* text :
       {"\n", "a\x7f", "\x80", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80",
        "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xc2\x9b", "\xff"}) {
    EXPECT_FALSE(IsPrintableUtf8(text)) << EscapeForText(text);
  }
}

TEST(Utf8, EscapesTheRest) {
  EXPECT_EQ(EscapeForText("a\nb"), "a\\x0ab");
  EXPECT_EQ(EscapeForText("\x1b[31m"), "\\x1b[31m");
  EXPECT_EQ(EscapeForText("ö\xff\xc3"), "ö\\xff\\xc3");
  EXPECT_TRUE(IsPrintableUtf8(EscapeForText("\xc2\x9b\xe2\x82")));
}

}  // namespace
}  // namespace firn
