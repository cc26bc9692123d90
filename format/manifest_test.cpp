#include "format/manifest.h"

#include <gtest/gtest.h>

#include <string>

#include "format/error.h"

namespace firn {
namespace {

Manifest Example() {
  Manifest manifest;
  manifest.name = "science";
  manifest.prefix = "/opt/envs/science";
  manifest.builder = "firn 0.1.0";
  manifest.time = 1700000000;
  manifest.compression_level = 9;
  manifest.block_size = 1u << 20;
  manifest.compression_library = "1.5.4";
  manifest.contents = {.files = 3,
                       .directories = 2,
                       .symlinks = 1,
                       .others = 4,
                       .hard_links = 5,
                       .bytes = uint64_t{1} << 40};
  manifest.python = {.version = "3.11", .compiled = 7, .not_compiled = {"lib/a.py", "b c.py"}};
  return manifest;
}

TEST(Manifest, ReadsWhatItWrites) {
  const Manifest read = Manifest::FromYaml(Example().ToYaml());
  EXPECT_EQ(read.name, "science");
  EXPECT_EQ(read.prefix, "/opt/envs/science");
  EXPECT_EQ(read.builder, "firn 0.1.0");
  EXPECT_EQ(read.time, 1700000000);
  EXPECT_EQ(read.compression, "zstd");
  EXPECT_EQ(read.compression_level, 9);
  EXPECT_EQ(read.block_size, 1u << 20);
  EXPECT_EQ(read.compression_library, "1.5.4");
  EXPECT_EQ(read.contents.files, 3u);
  EXPECT_EQ(read.contents.directories, 2u);
  EXPECT_EQ(read.contents.symlinks, 1u);
  EXPECT_EQ(read.contents.others, 4u);
  EXPECT_EQ(read.contents.hard_links, 5u);
  EXPECT_EQ(read.contents.bytes, uint64_t{1} << 40);
  ASSERT_TRUE(read.python);
  EXPECT_EQ(read.python->version, "3.11");
  EXPECT_EQ(read.python->compiled, 7u);
  EXPECT_EQ(read.python->not_compiled, (std::vector<std::string>{"lib/a.py", "b c.py"}));
}

TEST(Manifest, ReadsWhatItWritesOfARecipesEnvironment) {
  Manifest manifest = Example();
  manifest.version = "1.10";
  manifest.kind = EnvironmentKind::kVenv;
  manifest.base = {.id = "sha256:00", .path = "/images/base.firn"};
  manifest.environment = {{"Z", "${PREFIX}/lib"}, {"A", "a: \"b\""}};
  manifest.scratch = {"CACHE", "TMP"};
  manifest.labels = {{"site", "here"}};
  manifest.bound = {"bin/a", "lib/b c"};
  const Manifest read = Manifest::FromYaml(manifest.ToYaml());
  EXPECT_EQ(read.version, "1.10");
  EXPECT_EQ(read.kind, EnvironmentKind::kVenv);
  ASSERT_TRUE(read.base);
  EXPECT_EQ(read.base->id, "sha256:00");
  EXPECT_EQ(read.base->path, "/images/base.firn");
  EXPECT_EQ(read.environment, manifest.environment);
  EXPECT_EQ(read.scratch, manifest.scratch);
  EXPECT_EQ(read.labels, manifest.labels);
  EXPECT_EQ(read.bound, manifest.bound);
  manifest.kind = EnvironmentKind::kConda;
  EXPECT_EQ(Manifest::FromYaml(manifest.ToYaml()).kind, EnvironmentKind::kConda);
}

TEST(Manifest, AKindThatALaterVersionKnowsIsNone) {
  const Manifest read = Manifest::FromYaml("name: a\nprefix: /p\nkind: later\n");
  EXPECT_EQ(read.kind, EnvironmentKind::kOther);
}

TEST(Manifest, WritesTheSameTextAlways) {
  EXPECT_EQ(Example().ToYaml(), Example().ToYaml());
  EXPECT_EQ(Example().ToYaml().substr(0, 25), "format: 1\nname: \"science\"");
}

TEST(Manifest, KeepsTextThatYamlWouldTakeForSomethingElse) {
  for (const char* name : {"yes", "1.10", "null", "a: b", "- x", "#", "\"quoted\"", "a\\b", "é",
                           "{{name}}", " leading", "*alias", "!tag"}) {
    Manifest manifest = Example();
    manifest.name = name;
    manifest.python->not_compiled = {name};
    const Manifest read = Manifest::FromYaml(manifest.ToYaml());
    EXPECT_EQ(read.name, name);
    EXPECT_EQ(read.python->not_compiled.at(0), name);
  }
}

TEST(Manifest, IgnoresUnknownKeysAndDefaultsMissingOnes) {
  const Manifest read =
      Manifest::FromYaml("name: a\nprefix: /p\nlater: {x: [1, 2]}\ncontents: {files: 2, new: 1}\n");
  EXPECT_EQ(read.name, "a");
  EXPECT_EQ(read.contents.files, 2u);
  EXPECT_EQ(read.contents.bytes, 0u);
  EXPECT_FALSE(read.python);
}

void ExpectDamaged(const std::string& yaml) {
  try {
    Manifest::FromYaml(yaml);
    ADD_FAILURE() << "taken: " << yaml.substr(0, 80);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kDamaged) << yaml.substr(0, 80);
  }
}

TEST(Manifest, RefusesHostileText) {
  const std::string good = "name: a\nprefix: /p\n";
  ExpectDamaged("");
  ExpectDamaged("just text");
  ExpectDamaged("- a\n- b\n");
  ExpectDamaged("name: a\n");
  ExpectDamaged("name: a\nprefix: relative\n");
  ExpectDamaged("name: ''\nprefix: /p\n");
  ExpectDamaged("name: [a]\nprefix: /p\n");
  ExpectDamaged(good + "time: soon\n");
  ExpectDamaged(good + "contents: {files: -1}\n");
  ExpectDamaged(good + "contents: {files: 99999999999999999999}\n");
  ExpectDamaged(good + "contents: [1]\n");
  ExpectDamaged(good + "python: 3\n");
  ExpectDamaged(good + "python: {not_compiled: 3}\n");
  ExpectDamaged(good + "x: {unclosed\n");
  ExpectDamaged(good + "x: *unknown\n");
  ExpectDamaged(good + "\tx: 1\n");
  ExpectDamaged(good + "x: \"\\q\"\n");
  ExpectDamaged(std::string("\xff\xfe\x00\x00", 4));
}

TEST(Manifest, RefusesDeepNestingAndLengthWithoutFallingOver) {
  const std::string good = "name: a\nprefix: /p\n";
  ExpectDamaged(good + "x: " + std::string(1'000'000, '['));
  ExpectDamaged(good + "x: " + std::string(1'000'000, '{'));
  std::string dashes = good + "x:\n";
  for (int i = 0; i < 100'000; ++i) dashes += "- ";
  ExpectDamaged(dashes + "y\n");
  ExpectDamaged(good + "x: " + std::string(17 << 20, 'y') + "\n");
}

}  // namespace
}  // namespace firn
