#include "format/yaml_document.h"

#include <gtest/gtest.h>

#include <string>

namespace firn {
namespace {

// Why the text is refused; empty where it is not.
std::string Refusal(const std::string& text, size_t max_values = kMaxYamlValues) {
  try {
    LoadYamlDocument(text, max_values);
    return {};
  } catch (const YAML::Exception& error) {
    return error.msg;
  }
}

std::string Repeated(const std::string& text, size_t count) {
  std::string repeated;
  for (size_t i = 0; i < count; ++i) repeated += text;
  return repeated;
}

TEST(YamlDocument, IsWhatTheTextHolds) {
  const YamlDocument document = LoadYamlDocument("a: &x [1, two]\nb: *x\nc:\n");
  EXPECT_FALSE(document.another);
  EXPECT_EQ(document.root["b"][1].as<std::string>(), "two");
  EXPECT_TRUE(document.root["c"].IsNull());
}

TEST(YamlDocument, MayHaveNoContent) {
  for (const char* text : {"", "# nothing\n", "---\n", "---\n...\n", "~"}) {
    const YamlDocument document = LoadYamlDocument(text);
    EXPECT_TRUE(!document.root.IsDefined() || document.root.IsNull()) << text;
    EXPECT_FALSE(document.another) << text;
  }
}

TEST(YamlDocument, SaysWhereAnotherOneStands) {
  EXPECT_EQ(LoadYamlDocument("a: 1\n---\nb: 2\n").another.value().line, 2);
  EXPECT_FALSE(LoadYamlDocument("a: 1\n---\n").another);
  // Documents without end: each "]" is an empty one to yaml-cpp.
  EXPECT_NO_THROW(Refusal("a: 1\n" + Repeated("---\nb\n", 1000)));
}

TEST(YamlDocument, IsUtf8) {
  EXPECT_EQ(Refusal("a: \u263a \U0001f600\n"), "");
  for (const char* text :
       {"a: \x80", "a: \xc3(", "a: \xed\xa0\x80", "a: \xf4\x90\x80\x80", "\xff\xfe"}) {
    EXPECT_EQ(Refusal(text), "it is not UTF-8");
  }
  try {
    LoadYamlDocument("a: 1\nb: \xff\n");
    ADD_FAILURE() << "no exception";
  } catch (const YAML::ParserException& error) {
    EXPECT_EQ(error.mark.line, 1);
  }
}

TEST(YamlDocument, NestsOnlySoDeep) {
  const auto nested = [](size_t levels) {
    return Repeated("[", levels) + "1" + Repeated("]", levels);
  };
  EXPECT_EQ(Refusal(nested(kMaxYamlDepth)), "");
  EXPECT_EQ(Refusal(nested(kMaxYamlDepth + 1)), "nested too deep");
  EXPECT_EQ(Refusal(Repeated("[", 100'000)), "nested too deep");
  EXPECT_EQ(Refusal(Repeated("- ", 100'000)), "nested too deep");
  EXPECT_EQ(Refusal(Repeated("{a: ", 100'000)), "nested too deep");
}

TEST(YamlDocument, HasOnlySoManyValues) {
  EXPECT_EQ(Refusal("[1, 2, 3]", 4), "");
  EXPECT_EQ(Refusal("[1, 2, 3, 4]", 4), "too many values");
  EXPECT_EQ(Refusal("[" + Repeated(",", 3) + "]", 2) != "", true);
}

TEST(YamlDocument, AliasesStandForOnlySoMuch) {
  // Nine of nine of nine …: a thousand million texts.
  std::string laughs = "a: &a [" + Repeated("lol,", 9) + "]\n";
  for (char level = 'b'; level <= 'i'; ++level) {
    const std::string below = std::string("*") + static_cast<char>(level - 1) + ",";
    laughs += std::string(1, level) + ": &" + level + " [" + Repeated(below, 9) + "]\n";
  }
  EXPECT_EQ(Refusal(laughs), "aliases stand for too much");
  // One long text, many times.
  EXPECT_EQ(Refusal("a: &a " + std::string(10'000, 'x') + "\nb: [" + Repeated("*a,", 200) + "]\n"),
            "aliases stand for too much");
  EXPECT_EQ(Refusal("a: &a [1, 2]\nb: [" + Repeated("*a,", 1000) + "]\n"), "");
}

TEST(YamlDocument, AliasesStandForNothingThatTheyAreIn) {
  EXPECT_EQ(Refusal("&a [1, *a]"), "an alias stands inside what it stands for");
  EXPECT_EQ(Refusal("a: &a {b: {c: *a}}"), "an alias stands inside what it stands for");
}

}  // namespace
}  // namespace firn
