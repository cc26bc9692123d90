#include "format/profile.h"

#include <gtest/gtest.h>

#include "format/error.h"

namespace firn {
namespace {

using enum ProfileAction;

Profile Sample() {
  return Profile({{kLookup, "lib"},
                  {kMiss, "lib/a b%\xff.so"},
                  {kList, "."},
                  {kRead, "lib/module.py", 0, 4096},
                  {kRead, "lib/module.py", 8192, 131072}});
}

std::string MessageOf(const std::string& text) {
  try {
    Profile::Parse(text, "p");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInput);
    EXPECT_EQ(error.path(), "p");
    return error.message();
  }
  return "taken";
}

TEST(ProfileTest, TextAndBack) {
  const std::string text = Sample().ToText();
  EXPECT_EQ(text,
            "firn-profile 1\n"
            "lookup lib\n"
            "miss lib/a%20b%25%FF.so\n"
            "list .\n"
            "read lib/module.py 0 4096\n"
            "read lib/module.py 8192 131072\n");
  EXPECT_EQ(Profile::Parse(text, "p").entries(), Sample().entries());
}

TEST(ProfileTest, SkipsCommentsAndEmptyLines) {
  EXPECT_EQ(Profile::Parse("firn-profile 1\n# by hand\n\nlookup a\n", "p").entries().size(), 1u);
}

TEST(ProfileTest, NamesTheLineThatIsWrong) {
  const std::string head = "firn-profile 1\nlookup a\n";
  for (const char* line :
       {"lookup", "lookup a b", "look a", "read a", "read a 0", "read a 0 0", "read a -1 5",
        "read a 0 5 6", "read a 9223372036854775807 1", "read a 99999999999999999999 1",
        "lookup a%", "lookup a%4", "lookup a%GG", "lookup \x80", "lookup a\tb", " lookup a"}) {
    const std::string message = MessageOf(head + line + "\n");
    EXPECT_TRUE(message.starts_with("line 3: expected")) << line << ": " << message;
  }
}

TEST(ProfileTest, RefusesPathsOutside) {
  for (const char* path : {"/etc/passwd", "..", "a/../b", "a//b", "a/", "./a", "a/.", "%00", ""}) {
    const std::string message = MessageOf("firn-profile 1\nlookup " + std::string(path) + "\n");
    EXPECT_TRUE(message.starts_with("line 2: expected")) << path << ": " << message;
  }
}

TEST(ProfileTest, RefusesOtherFiles) {
  EXPECT_NE(MessageOf("firn-profile 2\nlookup a\n").find("another version"), std::string::npos);
  EXPECT_NE(MessageOf("\x7f"
                      "ELF\n")
                .find("another kind"),
            std::string::npos);
  EXPECT_NE(MessageOf("").find("empty"), std::string::npos);
  EXPECT_NE(MessageOf("firn-profile 1\n").find("empty"), std::string::npos);
  EXPECT_NE(MessageOf("firn-profile 1\nlookup a").find("line feed"), std::string::npos);
  EXPECT_NE(MessageOf(std::string(kMaxProfileLength + 1, 'x')).find("16 MiB"), std::string::npos);
}

TEST(ProfileTest, AnEndlessFileIsRefused) { EXPECT_THROW(Profile::ReadFile("/dev/zero"), Error); }

TEST(ProfileTest, MergeLeavesOutWhatWasDone) {
  const Profile profiles[] = {
      Profile({{kLookup, "a"}, {kRead, "a", 0, 100}, {kRead, "a", 200, 100}}),
      Profile({{kLookup, "a"},
               {kMiss, "a"},
               {kRead, "a", 210, 90},
               {kRead, "a", 50, 200},
               {kRead, "a", 0, 300},
               {kRead, "b", 0, 1}})};
  EXPECT_EQ(Profile::Merge(profiles).entries(), (std::vector<ProfileEntry>{{kLookup, "a"},
                                                                           {kRead, "a", 0, 100},
                                                                           {kRead, "a", 200, 100},
                                                                           {kMiss, "a"},
                                                                           {kRead, "a", 50, 200},
                                                                           {kRead, "b", 0, 1}}));
}

}  // namespace
}  // namespace firn
