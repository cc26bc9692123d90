#include "mountd/config.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "format/error.h"
#include "format/yaml_mistakes.h"

namespace firn {
namespace {

std::vector<std::string> MistakesIn(const std::string& yaml) {
  return MistakesOf([&] { ParseConfig(yaml, "F"); });
}

void ExpectMistake(const std::string& yaml, const std::string& start) {
  const std::vector<std::string> mistakes = MistakesIn(yaml);
  ASSERT_EQ(mistakes.size(), 1u) << yaml;
  EXPECT_TRUE(mistakes[0].starts_with(start)) << mistakes[0];
}

TEST(Config, NothingSaidIsTheDefaults) {
  for (const char* yaml : {"", "\n", "# only this\n", "---\n", "{}\n"}) {
    const Config config = ParseConfig(yaml, "F");
    EXPECT_EQ(config.cache_bytes, 64u << 20);
    EXPECT_EQ(config.threads, 0u);
    EXPECT_TRUE(config.prefetch);
    EXPECT_EQ(config.view, ViewChoice::kAuto);
    EXPECT_EQ(config.max_background, 4096u);
    EXPECT_EQ(config.selinux_context, "");
    EXPECT_EQ(config.log.level, LogLevel::kInfo);
    EXPECT_EQ(config.log.format, LogFormat::kText);
    EXPECT_EQ(config.log.destination, LogDestination::kDefault);
  }
}

TEST(Config, EveryKeyIsTaken) {
  const Config config = ParseConfig(
      "cache_size: 8M\n"
      "threads: 3\n"
      "prefetch: false\n"
      "view: direct\n"
      "max_background: 12\n"
      "linger: 5\n"
      "idle_exit: 600\n"
      "selinux_context: system_u:object_r:usr_t:s0-s0:c0.c3,c5\n"
      "log: {level: debug, format: json, destination: file, file: /var/log/x.log}\n",
      "F");
  EXPECT_EQ(config.cache_bytes, 8u << 20);
  EXPECT_EQ(config.threads, 3u);
  EXPECT_FALSE(config.prefetch);
  EXPECT_EQ(config.view, ViewChoice::kDirect);
  EXPECT_EQ(config.max_background, 12u);
  EXPECT_EQ(config.linger, 5u);
  EXPECT_EQ(config.idle_exit, 600u);
  EXPECT_EQ(config.selinux_context, "system_u:object_r:usr_t:s0-s0:c0.c3,c5");
  EXPECT_EQ(config.log.level, LogLevel::kDebug);
  EXPECT_EQ(config.log.format, LogFormat::kJson);
  EXPECT_EQ(config.log.destination, LogDestination::kFile);
  EXPECT_EQ(config.log.file, "/var/log/x.log");
}

TEST(Config, SizesAreThoseOfTheCommandLine) {
  EXPECT_EQ(ParseConfig("cache_size: 4096", "F").cache_bytes, 4096u);
  EXPECT_EQ(ParseConfig("cache_size: 2k", "F").cache_bytes, 2048u);
  EXPECT_EQ(ParseConfig("cache_size: 2 KiB", "F").cache_bytes, 2048u);
  EXPECT_EQ(ParseConfig("cache_size: '3GiB'", "F").cache_bytes, size_t{3} << 30);
  for (const char* wrong : {"0", "-1", "1.5G", "64X", "M64", "2T", "99999999999999999999", "16E",
                            "many", "''", "[1]", "{}", "true"}) {
    ExpectMistake("cache_size: " + std::string(wrong), "F:1:13: expected a size from 1 to ");
  }
}

TEST(Config, ValuesOutOfRangeAreRefusedWhereTheyStand) {
  ExpectMistake("\nthreads: 0", "F:2:10: expected a number from 1 to 256, found '0'");
  ExpectMistake("threads: 257", "F:1:10: ");
  ExpectMistake("threads: 0x10", "F:1:10: ");
  ExpectMistake("threads: \"4\"", "F:1:10: expected a number from 1 to 256, found the text '4'");
  ExpectMistake("threads:", "F:1:1: expected a number from 1 to 256, found nothing");
  ExpectMistake("max_background: 65536", "F:1:17: expected a number from 1 to 65535");
  ExpectMistake("prefetch: maybe", "F:1:11: expected true or false, found 'maybe'");
  ExpectMistake("prefetch: yes", "F:1:11: ");
  ExpectMistake("prefetch: 1", "F:1:11: ");
  ExpectMistake("view: sideways", "F:1:7: expected auto, overlay or direct, found 'sideways'");
  ExpectMistake("log:\n  level: loud\n", "F:2:10: expected error, warning, info or debug");
  ExpectMistake("log: info", "F:1:6: expected keys with values (level, ");
  ExpectMistake("log:", "F:1:1: expected keys with values (level, ");
  ExpectMistake("log: {destination: file, file: log/x}", "F:1:32: expected an absolute path");
}

TEST(Config, ProofIsWhatASignatureIsWorth) {
  EXPECT_EQ(ParseConfig("", "F").CheckOfExtents(), ExtentCheck::kChecksum);
  EXPECT_EQ(ParseConfig("policy: owner", "F").CheckOfExtents(), ExtentCheck::kChecksum);
  EXPECT_EQ(ParseConfig("verify: proof", "F").CheckOfExtents(), ExtentCheck::kProof);
  Config config;
  config.trust.policy = ImagePolicy::kSigned;
  EXPECT_EQ(config.CheckOfExtents(), ExtentCheck::kProof);
  config.verify = ExtentCheck::kChecksum;
  EXPECT_EQ(config.CheckOfExtents(), ExtentCheck::kChecksum);
  ExpectMistake("policy: signed", "F:1:9: policy: signed needs trusted_keys: DIR beside it");
  ExpectMistake("verify: much", "F:1:9: expected checksum or proof, found 'much'");
}

TEST(Config, AContextMayNotLeaveItsQuotes) {
  for (const char* wrong :
       {"usr_t", "a:b", "a::c", ":b:c", "a:b:", "a:b:c:", "a:b:c\",suid", "a:b:c d", "a:b:c\\"}) {
    ExpectMistake("selinux_context: '" + std::string(wrong) + "'",
                  "F:1:18: expected a context such as ");
  }
}

TEST(Config, MetricsStayOnTheMachine) {
  EXPECT_EQ(ParseConfig("metrics: {listen: '[::1]:9742'}", "F").metrics.text, "[::1]:9742");
  EXPECT_EQ(ParseConfig("", "F").metrics.text, "");
  ExpectMistake("metrics:\n  listen: 0.0.0.0:9742", "F:2:11: expected unix:/PATH ");
  ExpectMistake("metrics: 127.0.0.1:9742", "F:1:10: expected keys with values (listen)");
}

TEST(Config, TheLogsFileAndDestinationGoTogether) {
  ExpectMistake("log: {destination: file}", "F:1:6: destination: file needs file");
  ExpectMistake("log: {file: /x}", "F:1:6: file: needs destination: file");
  ExpectMistake("log: {destination: syslog, file: /x}", "F:1:6: ");
}

TEST(Config, EveryMistakeIsTold) {
  const std::vector<std::string> mistakes = MistakesIn(
      "threads: none\n"
      "cach_size: 1M\n"
      "log:\n"
      "  level: info\n"
      "  colour: red\n"
      "view: auto\n"
      "view: direct\n"
      "[a, b]: c\n");
  ASSERT_EQ(mistakes.size(), 5u);
  EXPECT_TRUE(mistakes[0].starts_with("F:1:10: expected a number"));
  EXPECT_TRUE(mistakes[1].starts_with("F:2:1: unknown key 'cach_size'; known are cache_size, "));
  EXPECT_TRUE(mistakes[2].starts_with("F:5:3: unknown key 'colour'; known are level, format, "));
  EXPECT_EQ(mistakes[3], "F:7:1: the key 'view' stands on line 6 already");
  EXPECT_TRUE(mistakes[4].starts_with("F:8:1: expected one of the keys"));
}

TEST(Config, WhatIsNoMappingIsRefused) {
  ExpectMistake("threads: 3\n  view: [", "F:2:");
  ExpectMistake("- threads", "F:1:1: expected keys with values");
  ExpectMistake("threads", "F:1:1: expected keys with values");
  ExpectMistake("threads: 3\n---\nthreads: 4\n", "F:3:1: expected one document");
  ExpectMistake(std::string(5000, '['), "F:1:");
  ExpectMistake("threads: &a [*a]", "F:1:14: not YAML: an alias stands inside what it stands for");
}

TEST(Config, MessagesHoldNoControlCharacters) {
  ExpectMistake("\"a\\x1b[2J\\nb\": 1", "F:1:1: unknown key 'a\\x1b[2J; b'");
}

class ConfigFileTest : public testing::Test {
 protected:
  ConfigFileTest() {
    std::string pattern = testing::TempDir() + "firn-config-XXXXXX";
    if (mkdtemp(pattern.data()) != nullptr) directory_ = pattern;
    std::ofstream(path()) << "threads: 5\n";
    chmod(path().c_str(), 0644);
  }
  ~ConfigFileTest() override { std::filesystem::remove_all(directory_); }

  std::string path() const { return directory_ + "/firnd.yaml"; }

  // The error of loading `file`.
  static std::string RefusalOf(const std::string& file) {
    try {
      LoadConfig(file);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInput);
      EXPECT_EQ(error.path(), file);
      return error.message();
    }
    return "taken";
  }

 private:
  std::string directory_;
};

TEST_F(ConfigFileTest, IsRead) { EXPECT_EQ(LoadConfig(path()).threads, 5u); }

TEST_F(ConfigFileTest, MustBeThereWhereItIsNamed) {
  EXPECT_NE(RefusalOf(path() + ".x").find("No such file"), std::string::npos);
}

TEST_F(ConfigFileTest, MustBeARegularFile) {
  const std::string directory = std::filesystem::path(path()).parent_path();
  EXPECT_NE(RefusalOf(directory).find("regular file"), std::string::npos);
  const std::string fifo = path() + ".fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_NE(RefusalOf(fifo).find("regular file"), std::string::npos);
}

TEST_F(ConfigFileTest, MustNotBeOthersToWriteWhereRootReadsIt) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  for (const mode_t mode : {0664, 0646, 0666}) {
    ASSERT_EQ(chmod(path().c_str(), mode), 0);
    EXPECT_NE(RefusalOf(path()).find("its group or others may write"), std::string::npos);
  }
  ASSERT_EQ(chmod(path().c_str(), 0644), 0);
  ASSERT_EQ(chown(path().c_str(), 65534, 0), 0);
  EXPECT_NE(RefusalOf(path()).find("belongs to uid 65534"), std::string::npos);
}

TEST_F(ConfigFileTest, MustNotBeEndless) {
  std::filesystem::resize_file(path(), (1 << 20) + 1);
  EXPECT_NE(RefusalOf(path()).find("1 MiB"), std::string::npos);
}

}  // namespace
}  // namespace firn
