#include "builder/recipe_text.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "builder/temporary_directory.h"
#include "format/error.h"
#include "format/yaml_mistakes.h"

namespace firn {
namespace {

class RecipeTextTest : public testing::Test {
 protected:
  RecipeTextTest() { std::filesystem::create_directory(at("env")); }

  std::string at(const std::string& name) const { return directory_.path() + "/" + name; }
  Recipe Parse(const std::string& yaml) const { return ParseRecipe(yaml, "F", directory_.path()); }
  std::vector<std::string> MistakesIn(const std::string& yaml) const {
    return MistakesOf([&] { Parse(yaml); });
  }
  void ExpectMistake(const std::string& yaml, const std::string& start) const {
    const std::vector<std::string> mistakes = MistakesIn(yaml);
    ASSERT_EQ(mistakes.size(), 1u) << yaml;
    EXPECT_TRUE(mistakes[0].starts_with(start)) << mistakes[0];
  }

  const TemporaryDirectory directory_;
};

constexpr char kWhole[] = R"yaml(name: science
version: 1.10
prefix: /opt//science/
source:
  path: env
  kind: uv
  tool: uv
  python: 3.12
  resolve: true
  options: [--extra, gpu]
base: base.firn
environment:
  OMP_NUM_THREADS: 4
  DATA: ${PREFIX}/share
excludes: ["**/tests", lib/*.a]
rules:
  strip: true
  compile: false
checks:
  - default: false
  - python -c 'import numpy'
  - [python, -c, "print('a b')"]
  - command: true
    timeout: 5
profile: start.profile
scratch: [MPLCONFIGDIR]
labels:
  org.example: "yes"
)yaml";

TEST_F(RecipeTextTest, EveryKeyIsTaken) {
  const Recipe recipe = Parse(kWhole);
  EXPECT_EQ(recipe.name, "science");
  EXPECT_EQ(recipe.version, "1.10");
  EXPECT_EQ(recipe.prefix, "/opt/science");
  EXPECT_EQ(recipe.source.path, at("env"));
  EXPECT_EQ(recipe.source.kind, SourceKind::kUvProject);
  EXPECT_EQ(recipe.source.tool, "uv");
  EXPECT_EQ(recipe.source.python, "3.12");
  EXPECT_TRUE(recipe.source.resolve);
  EXPECT_EQ(recipe.source.options, (std::vector<std::string>{"--extra", "gpu"}));
  EXPECT_EQ(recipe.base, at("base.firn"));
  ASSERT_EQ(recipe.environment.size(), 2u);
  EXPECT_EQ(recipe.environment[0].name, "OMP_NUM_THREADS");
  EXPECT_EQ(recipe.environment[0].value, "4");
  EXPECT_EQ(recipe.environment[1].value, "${PREFIX}/share");
  EXPECT_EQ(recipe.excludes, (std::vector<std::string>{"**/tests", "lib/*.a"}));
  EXPECT_TRUE(recipe.rules.strip);
  EXPECT_FALSE(recipe.rules.compile);
  EXPECT_TRUE(recipe.rules.flatten);
  EXPECT_FALSE(recipe.default_checks);
  ASSERT_EQ(recipe.checks.size(), 3u);
  EXPECT_EQ(recipe.checks[0].command,
            (std::vector<std::string>{"/bin/sh", "-c", "python -c 'import numpy'"}));
  EXPECT_EQ(recipe.checks[0].timeout, std::chrono::seconds(600));
  EXPECT_EQ(recipe.checks[1].command, (std::vector<std::string>{"python", "-c", "print('a b')"}));
  EXPECT_EQ(recipe.checks[2].command, (std::vector<std::string>{"/bin/sh", "-c", "true"}));
  EXPECT_EQ(recipe.checks[2].timeout, std::chrono::seconds(5));
  EXPECT_EQ(recipe.profile, at("start.profile"));
  EXPECT_EQ(recipe.scratch, (std::vector<std::string>{"MPLCONFIGDIR"}));
  ASSERT_EQ(recipe.labels.size(), 1u);
  EXPECT_EQ(recipe.labels[0].value, "yes");
}

TEST_F(RecipeTextTest, TextOfARecipeGivesTheSameRecipe) {
  Recipe recipe = Parse(kWhole);
  EXPECT_TRUE(ParseRecipe(ToYaml(recipe), "T", "/elsewhere") == recipe) << ToYaml(recipe);
  recipe.environment = {{"A", "~"}, {"B", ""}, {"C", "# 'x' \"y\": {\\} é"}, {"D", " a "}};
  recipe.labels = {{"~", "null"}, {"a: b", "[1]"}};
  recipe.checks = {{{"sh", "-c", "a\n  b: |\n"}, std::chrono::seconds(1)}};
  recipe.source.path = "/a: b/#c";
  recipe.base = "sha256:" + std::string(64, '0');
  EXPECT_TRUE(ParseRecipe(ToYaml(recipe), "T", "/elsewhere") == recipe) << ToYaml(recipe);
}

TEST_F(RecipeTextTest, SourceAloneIsEnoughAndItsKindIsSeen) {
  const Recipe recipe = Parse("source: env\n");
  EXPECT_EQ(recipe.source.kind, SourceKind::kDirectory);
  EXPECT_EQ(recipe.source.path, at("env"));
  EXPECT_TRUE(recipe.default_checks);
  EXPECT_EQ(recipe.prefix, "");
  EXPECT_EQ(Parse("source: {path: env}\n").source.kind, SourceKind::kDirectory);
}

TEST_F(RecipeTextTest, EveryMistakeIsToldWithItsPlace) {
  const std::vector<std::string> mistakes = MistakesIn(
      "name: a/b\n"
      "prefx: /opt/x\n"
      "prefix: opt/x\n"
      "source:\n"
      "  path: env\n"
      "  kind: zip\n"
      "rules:\n"
      "  strip: 1\n"
      "  shrink: true\n"
      "checks: true\n"
      "scratch: [1A]\n"
      "environment: [A]\n"
      "name: c\n");
  ASSERT_EQ(mistakes.size(), 10u);
  const char* starts[] = {
      "F:1:7: expected a name of 1 to 255 bytes without '/', found 'a/b'",
      "F:2:1: unknown key 'prefx'; known are name, version, prefix, ",
      "F:3:9: the prefix 'opt/x' is not an absolute path",
      "F:6:9: expected directory, archive, uv, ",
      "F:8:10: expected true or false, found '1'",
      "F:9:3: unknown key 'shrink'; known are flatten, ",
      "F:10:9: expected a list of commands, found 'true'",
      "F:11:11: expected the name of a variable, found '1A'",
      "F:12:14: expected names with values, found a list",
      "F:13:1: the key 'name' stands on line 1 already",
  };
  for (size_t i = 0; i < mistakes.size(); ++i) {
    EXPECT_TRUE(mistakes[i].starts_with(starts[i])) << mistakes[i];
  }
}

TEST_F(RecipeTextTest, PrefixesThatAJobNeedsAreRefused) {
  for (const char* prefix : {"/", "//", "/usr", "/usr/", "/usr/lib", "/etc", "/tmp", "/proc/x"}) {
    ExpectMistake("source: env\nprefix: " + std::string(prefix), "F:2:9: the prefix '");
  }
  for (const char* prefix : {"/usr/local", "/opt/x", "/home/me/env", "/usr/lib/x"}) {
    EXPECT_EQ(Parse("source: env\nprefix: " + std::string(prefix)).prefix, prefix);
  }
}

TEST_F(RecipeTextTest, WrongValuesAreRefused) {
  ExpectMistake("", "F: expected the key source, ");
  ExpectMistake("- a\n", "F:1:1: expected keys with values (name, ");
  ExpectMistake("source: nowhere\n", "F:1:9: ");
  ExpectMistake("source: {kind: uv}\n", "F:1:9: expected a path: beside ");
  ExpectMistake("source: {path: env, tool: apt}\n", "F:1:27: expected uv, pip, ");
  ExpectMistake("source: env\nbase: sha256:12\n", "F:2:7: expected 64 hexadecimal digits ");
  ExpectMistake("source: env\nexcludes: [/etc]\n", "F:2:12: expected a glob relative ");
  ExpectMistake("source: env\nexcludes: [a/../b]\n", "F:2:12: expected a glob relative ");
  ExpectMistake("source: env\nchecks: [[]]\n", "F:2:10: expected a command, found ");
  ExpectMistake("source: env\nchecks: [{timeout: 5}]\n", "F:2:10: expected a command: with ");
  ExpectMistake("source: env\nchecks: [{default: false, command: x}]\n", "F:2:10: expected ");
  ExpectMistake("source: env\nchecks: [{command: x, timeout: 0}]\n", "F:2:32: expected a number ");
  ExpectMistake("source: env\nname: ''\n", "F:2:7: expected a name ");
  ExpectMistake("source: env\nname: \"a\\nb\"\n", "F:2:7: expected a name ");
  ExpectMistake("source: [a\n", "F:");
}

TEST_F(RecipeTextTest, ReadsFilesRelativeToTheirDirectory) {
  std::ofstream(at("recipe.yaml")) << "source: ./env\nprofile: sub/../p\n";
  const Recipe recipe = ReadRecipe(at("recipe.yaml"));
  EXPECT_EQ(recipe.source.path, at("env"));
  EXPECT_EQ(recipe.profile, at("p"));
  EXPECT_THROW(ReadRecipe(at("missing.yaml")), Error);
  EXPECT_THROW(ReadRecipe(at("env")), Error);
}

}  // namespace
}  // namespace firn
