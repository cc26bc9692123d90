#include "builder/inspect/needs.h"

#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <sstream>
#include <string>

#include "builder/inspect/elf_file.h"
#include "builder/inspect/host.h"
#include "builder/temporary_directory.h"
#include "format/error.h"
#include "format/file.h"

namespace firn {
namespace {

class NeedsTest : public testing::Test {
 protected:
  std::string Place(const std::string& name) const {
    const std::filesystem::path path = tree_ + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    return path.string();
  }
  void Write(const std::string& name, const std::string& content) const {
    std::ofstream(Place(name), std::ios::binary) << content;
  }
  // This very program: a real ELF file.
  static const std::string& OwnBytes() {
    static const std::string bytes = [] {
      std::ostringstream content;
      content << std::ifstream("/proc/self/exe", std::ios::binary).rdbuf();
      return content.str();
    }();
    return bytes;
  }
  std::optional<ElfFile> ReadBytes(const std::string& bytes) const {
    Write("file", bytes);
    const FileDescriptor fd = OpenFile(tree_ + "/file", O_RDONLY, ErrorKind::kInput);
    return ReadElf(fd.get());
  }

  const TemporaryDirectory directory_;
  const std::string tree_ = std::filesystem::canonical(directory_.path()).string();
};

TEST_F(NeedsTest, ReadsARealProgram) {
  const auto file = ReadBytes(OwnBytes());
  ASSERT_TRUE(file);
  EXPECT_EQ(file->machine, HostMachine());
  EXPECT_FALSE(file->interpreter.empty());
  EXPECT_NE(std::ranges::find(file->needed, "libc.so.6"), file->needed.end());
  const auto glibc = std::ranges::find_if(
      file->versions_needed, [](const auto& need) { return need.version.starts_with("GLIBC_2."); });
  EXPECT_NE(glibc, file->versions_needed.end());
}

TEST_F(NeedsTest, PassesOverWhatIsNoElfFile) {
  EXPECT_FALSE(ReadBytes(""));
  EXPECT_FALSE(ReadBytes("#!/bin/sh\n"));
  EXPECT_FALSE(
      ReadBytes("\x7f"
                "EL"));
}

TEST_F(NeedsTest, CallsTruncatedFilesDamaged) {
  const std::string& whole = OwnBytes();
  for (const size_t length : {4, 17, 63, 64, 200, 4096, 65536}) {
    EXPECT_THROW(ReadBytes(whole.substr(0, length)), Error) << length;
  }
}

TEST_F(NeedsTest, SurvivesFlippedBytes) {
  // Of a library of this machine that is small, so that the dynamic section is often hit.
  const auto library = ThisHost().find_library("libdl.so.2");
  std::string whole = OwnBytes();
  if (library) {
    std::ifstream file(library->path, std::ios::binary);
    whole.assign(std::istreambuf_iterator<char>(file), {});
  }
  std::mt19937 random(7);
  int damaged = 0, read = 0;
  for (int i = 0; i < 400; ++i) {
    std::string bytes = whole.substr(0, 1 << 20);
    const size_t reach = i % 2 == 0 ? 1024 : bytes.size();
    for (int k = 0; k < 12; ++k) bytes[random() % reach] = static_cast<char>(random());
    for (const size_t at : {0, 1, 2, 3}) bytes[at] = whole[at];
    try {
      read += ReadBytes(bytes).has_value() ? 1 : 0;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInput);
      ++damaged;
    }
  }
  EXPECT_GT(damaged, 0);
  EXPECT_GT(read, 0);
}

TEST_F(NeedsTest, CountsDamagedFilesAndGoesOn) {
  Write("bin/program", OwnBytes());
  Write("lib/broken.so", OwnBytes().substr(0, 300));
  Write("lib/text", std::string(200, 'x'));
  const Needs needs = FindNeeds(tree_, "/opt/env", 2, [] {});
  EXPECT_EQ(needs.files, 1u);
  EXPECT_EQ(needs.damaged.files, 1u);
  EXPECT_EQ(needs.damaged.paths, std::vector<std::string>{"lib/broken.so"});
  EXPECT_EQ(needs.architecture, HostMachine());
  ASSERT_EQ(needs.interpreters.size(), 1u);
  EXPECT_FALSE(needs.interpreters[0].in_image);
  EXPECT_FALSE(needs.Highest("GLIBC").version.empty());
  EXPECT_FALSE(needs.Highest("GLIBCXX").version.empty());
  EXPECT_EQ(Needs::FromJson(needs.ToJson()).ToJson(), needs.ToJson());
}

TEST_F(NeedsTest, TellsWhatTheMainProgramsNeed) {
  Write("bin/tool", OwnBytes());
  Write("lib/plugin.so", OwnBytes());
  Needs needs = FindNeeds(tree_, "/opt/env", 1, [] {});
  EXPECT_EQ(needs.main_programs, std::vector<std::string>{"bin/tool"});
  // A Python is what everything else is for.
  Write("bin/python3.11", OwnBytes());
  Write("bin/python3.11-config", OwnBytes());
  needs = FindNeeds(tree_, "/opt/env", 1, [] {});
  EXPECT_EQ(needs.main_programs, std::vector<std::string>{"bin/python3.11"});
  ASSERT_EQ(needs.required.host_libraries.size(), needs.host_libraries.size());
  EXPECT_EQ(needs.host_libraries[0].needed_by.files, 4u);
  EXPECT_EQ(needs.required.host_libraries[0].needed_by.paths,
            std::vector<std::string>{"bin/python3.11"});
  EXPECT_EQ(Needs::FromJson(needs.ToJson()).ToJson(), needs.ToJson());
}

TEST_F(NeedsTest, GivesTheSameTextAtAnyJobCount) {
  for (int i = 0; i < 20; ++i) Write("lib/p" + std::to_string(i), OwnBytes().substr(0, 4096));
  Write("bin/program", OwnBytes());
  EXPECT_EQ(FindNeeds(tree_, "/p", 1, [] {}).ToJson(), FindNeeds(tree_, "/p", 8, [] {}).ToJson());
}

TEST_F(NeedsTest, FindsNothingMissingOnThisHost) {
  Write("bin/program", OwnBytes());
  const auto missing = FindMissing(FindNeeds(tree_, "/opt/env", 1, [] {}), ThisHost());
  EXPECT_TRUE(missing.empty()) << missing.front().message;
}

Needs SampleNeeds() {
  Needs needs;
  needs.architecture = "x86_64";
  needs.x86_64_level = 3;
  needs.x86_64_level_needed_by = "lib/fast.so";
  needs.interpreters.push_back({.path = "/lib64/ld.so", .needed_by = {{"bin/x"}, 1}});
  needs.host_libraries.push_back({.name = "libc.so.6",
                                  .versions = {{"GLIBC", {"2.38", "bin/x"}}},
                                  .needed_by = {{"bin/x"}, 1}});
  needs.host_libraries.push_back(
      {.name = "libgone.so.1", .versions = {}, .needed_by = {{"lib/y.so"}, 1}});
  needs.host_libraries.push_back({.name = "libstdc++.so.6",
                                  .versions = {{"GLIBCXX", {"3.4.31", "lib/y.so"}}},
                                  .needed_by = {{"lib/y.so"}, 1}});
  return needs;
}

Host SampleHost() {
  return {.architecture = "x86_64",
          .glibc = "2.36",
          .x86_64_level = 2,
          .find_library = [](const std::string& name) -> std::optional<Host::Library> {
            if (name == "libgone.so.1") return std::nullopt;
            return Host::Library{"/lib/" + name, {"GLIBCXX_3.4.9", "GLIBCXX_3.4.30"}};
          },
          .can_execute = [](const std::string&) { return false; }};
}

std::vector<std::string> MissingNames(const std::vector<MissingNeed>& missing) {
  std::vector<std::string> names;
  for (const MissingNeed& need : missing) names.push_back(need.name);
  return names;
}

TEST(HostTest, NamesAllThatIsMissing) {
  const auto missing = FindMissing(SampleNeeds(), SampleHost());
  EXPECT_EQ(MissingNames(missing),
            (std::vector<std::string>{"x86-64-v3", "/lib64/ld.so", "GLIBC_2.38", "libgone.so.1",
                                      "GLIBCXX_3.4.31"}));
  EXPECT_EQ(missing[4].message,
            "expected GLIBCXX_3.4.31 in libstdc++.so.6, found at most GLIBCXX_3.4.30 in "
            "/lib/libstdc++.so.6");
  EXPECT_EQ(missing[3].needed_by.paths, std::vector<std::string>{"lib/y.so"});
}

TEST(HostTest, TellsWhatIsRequiredFromWhatFilesNeed) {
  Needs needs = SampleNeeds();
  // An older version than another file asks for, and missing all the same.
  needs.required.host_libraries.push_back({.name = "libc.so.6",
                                           .versions = {{"GLIBC", {"2.37", "bin/x"}}},
                                           .needed_by = {{"bin/x"}, 1}});
  needs.required.interpreters = needs.interpreters;
  const auto missing = FindMissing(needs, SampleHost());
  EXPECT_EQ(MissingNames(missing),
            (std::vector<std::string>{"/lib64/ld.so", "GLIBC_2.37", "x86-64-v3", "GLIBC_2.38",
                                      "libgone.so.1", "GLIBCXX_3.4.31"}));
  for (size_t i = 0; i < missing.size(); ++i) EXPECT_EQ(missing[i].is_required, i < 2) << i;
}

TEST(HostTest, SaysOfAnotherArchitectureOnlyThat) {
  Host host = SampleHost();
  host.architecture = "aarch64";
  EXPECT_EQ(MissingNames(FindMissing(SampleNeeds(), host)), std::vector<std::string>{"x86_64"});
}

TEST(VersionTest, ComparesNumbers) {
  EXPECT_TRUE(VersionLess("2.9", "2.10"));
  EXPECT_TRUE(VersionLess("2", "2.1"));
  EXPECT_TRUE(VersionLess("", "1"));
  EXPECT_FALSE(VersionLess("2.10", "2.9"));
  EXPECT_FALSE(VersionLess("2.34", "2.34"));
  EXPECT_FALSE(VersionLess("010", "10"));
  EXPECT_EQ(SplitSymbolVersion("GLIBCXX_3.4.30"),
            (std::pair<std::string, std::string>("GLIBCXX", "3.4.30")));
  EXPECT_EQ(SplitSymbolVersion("GLIBC_PRIVATE"),
            (std::pair<std::string, std::string>("GLIBC_PRIVATE", "")));
}

}  // namespace
}  // namespace firn
