#include <gtest/gtest.h>

#include <string>

#include "builder/rules/elf_dynamic.h"
#include "builder/rules/glob.h"
#include "builder/rules/path_text.h"

namespace firn {
namespace {

using std::string_literals::operator""s;

TEST(PathTextTest, ReplacesWholePathsOnly) {
  const std::string text =
      "#!/opt/env/bin/x -I/opt/env/include /opt/env2 /opt/env-2 /data/opt/env file:///opt/env "
      "PATH=/a:/opt/env /opt/env. /opt/env.old";
  EXPECT_EQ(ReplacePath(text, "/opt/env", "/n"),
            "#!/n/bin/x -I/n/include /opt/env2 /opt/env-2 /data/opt/env file:///n "
            "PATH=/a:/n /n. /opt/env.old");
  EXPECT_EQ(ReplacePath("/opt/environment", "/opt/env", "/n"), std::nullopt);
  EXPECT_EQ(ReplacePath("", "/opt/env", "/n"), std::nullopt);
}

TEST(PathTextTest, ReplacesInBinaries) {
  std::string content = "\1\2/opt/env/lib:/opt/env/x\0\0after"s;
  const size_t size = content.size();
  EXPECT_EQ(ReplaceInBinary(content, "/opt/env", "/n", 8), BinaryReplacement::kDone);
  EXPECT_EQ(content.size(), size);
  EXPECT_EQ(content, "\1\2/n/lib:/n/x"s + std::string(14, '\0') + "after"s);
}

TEST(PathTextTest, GrowsIntoItsPaddingOnly) {
  // A placeholder of twelve bytes was replaced by one of four.
  std::string content = "/old/lib"s + std::string(8 + 1, '\0') + "after";
  std::string longer = content;
  EXPECT_EQ(ReplaceInBinary(longer, "/old", "/a-new-place", 12), BinaryReplacement::kDone);
  EXPECT_EQ(longer, "/a-new-place/lib\0after"s);
  EXPECT_EQ(ReplaceInBinary(content, "/old", "/a-newer-place", 12), BinaryReplacement::kTooLong);
}

TEST(GlobTest, Matches) {
  EXPECT_TRUE(GlobMatches("*.a", "libx.a"));
  EXPECT_FALSE(GlobMatches("*.a", "lib/libx.a"));
  EXPECT_TRUE(GlobMatches("**/*.a", "libx.a"));
  EXPECT_TRUE(GlobMatches("**/*.a", "lib/deep/libx.a"));
  EXPECT_TRUE(GlobMatches("lib/**", "lib/deep/x"));
  EXPECT_FALSE(GlobMatches("lib/**", "lib"));
  EXPECT_TRUE(GlobMatches("lib/**/tests", "lib/tests"));
  EXPECT_TRUE(GlobMatches("lib/**/tests", "lib/a/b/tests"));
  EXPECT_FALSE(GlobMatches("lib/**/tests", "lib/mytests"));
  EXPECT_TRUE(GlobMatches("lib/python3.[0-9]*/test", "lib/python3.11/test"));
  EXPECT_FALSE(GlobMatches("lib/python3.[!1]*/test", "lib/python3.11/test"));
  EXPECT_TRUE(GlobMatches("a?c", "abc"));
  EXPECT_FALSE(GlobMatches("a?c", "a/c"));
  EXPECT_TRUE(GlobMatches("[", "["));
  EXPECT_TRUE(GlobMatches("", ""));
  EXPECT_FALSE(GlobMatches(std::string(200, '*') + "b", std::string(2000, 'a')));
}

TEST(RunPathTest, IsMadeRelative) {
  EXPECT_EQ(RelativeRunPath("/o/p/lib", "/o/p", "bin"), "$ORIGIN/../lib");
  EXPECT_EQ(RelativeRunPath("/x:/o/p/lib/", "/o/p", "lib"), "/x:$ORIGIN");
  EXPECT_EQ(RelativeRunPath("/o/p/lib:$ORIGIN/../y", "/o/p", "lib/a/b"),
            "$ORIGIN/../..:$ORIGIN/../y");
  EXPECT_EQ(RelativeRunPath("/o/p2/lib:$ORIGIN", "/o/p", "bin"), std::nullopt);
}

}  // namespace
}  // namespace firn
