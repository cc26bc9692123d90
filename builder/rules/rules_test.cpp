#include "builder/rules.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "builder/rules/rule_fixture.h"
#include "format/error.h"

namespace firn {
namespace {

using std::string_literals::operator""s;

class RulesTest : public RuleTest {
 protected:
  using Strings = std::vector<std::string>;
};

TEST_F(RulesTest, AnEmptyTree) {
  const RulesReport report = ApplyRules(tree_);
  EXPECT_EQ(report.excluded + report.scripts + report.relocated, 0u);
  EXPECT_TRUE(std::filesystem::is_empty(directory_));
}

TEST_F(RulesTest, WhatNamesTheOldPlaceNamesThePrefix) {
  Put("lib/pkgconfig/x.pc", "prefix=/old/place\n");
  Put("lib/site.pth", "/old/place/lib/more\n/old/placebo\n");
  Put("lib/data.bin", "\0/old/place\0"s);
  PutLink("lib/link", "/old/place/lib/data.bin");
  PutLink("bin/link", "/new/prefix/lib/data.bin");
  const RulesReport report = ApplyRules(tree_);
  EXPECT_EQ(Get("lib/pkgconfig/x.pc"), "prefix=/new/prefix\n");
  EXPECT_EQ(Get("lib/site.pth"), "/new/prefix/lib/more\n/old/placebo\n");
  EXPECT_EQ(LinkTarget(directory_ + "/lib/link"), "data.bin");
  EXPECT_EQ(LinkTarget(directory_ + "/bin/link"), "../lib/data.bin");
  EXPECT_EQ(report.relocated, 4u);
  EXPECT_EQ(report.leftovers, Strings{"lib/data.bin"});
  EXPECT_EQ(report.bound, Strings{"lib/site.pth"});
}

TEST_F(RulesTest, AMovedEnvironmentIsKnownByItsActivation) {
  Put("bin/activate", "VIRTUAL_ENV='/even/older'\nexport VIRTUAL_ENV\n");
  Put("bin/tool", "#!/even/older/bin/python3\nx\n", 0755);
  ApplyRules(tree_);
  EXPECT_EQ(Get("bin/activate"), "VIRTUAL_ENV='/new/prefix'\nexport VIRTUAL_ENV\n");
  EXPECT_EQ(Get("bin/tool").substr(0, 10), "#!/bin/sh\n");
}

TEST_F(RulesTest, StrictRefusesWhatIsLeft) {
  recipe_.rules.strict = true;
  Put("share/data", "\0 in /old/place/share"s);
  try {
    ApplyRules(tree_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInput);
    EXPECT_NE(error.message().find("share/data"), std::string::npos);
  }
}

TEST_F(RulesTest, PathsAreFoundAtEveryPlaceOfAFile) {
  // Around the ends of the pieces in which files are read.
  for (const size_t at : {0u, 1048570u, 1048576u, 1052672u, 1056760u, 1056768u, 2100000u}) {
    Put("file", std::string(at, '\0') + "/old/place" + std::string(5000, '\0'));
    EXPECT_EQ(ApplyRules(tree_).leftovers, Strings{"file"}) << at;
    Put("file", std::string(at, '\0') + "/old/place2" + std::string(5000, '\0'));
    EXPECT_EQ(ApplyRules(tree_).leftovers, Strings{}) << at;
  }
}

TEST_F(RulesTest, CondaPlaceholders) {
  const std::string placeholder = "/pkg/placehold_placehold_placehold";
  Put("conda-meta/x-1-0.json",
      R"({"name": "x", "extracted_package_dir": "/home/u/pkgs/x", "link": {"source": "/home/u"},
          "paths_data": {"paths": [
            {"_path": "bin/b", "prefix_placeholder": ")" +
          placeholder + R"(", "file_mode": "binary", "sha256_in_prefix": "old"},
            {"_path": "etc/t", "prefix_placeholder": ")" +
          placeholder + R"(", "file_mode": "text", "sha256_in_prefix": "old"},
            {"_path": "../out", "prefix_placeholder": ")" +
          placeholder + R"(", "file_mode": "text"}]}})");
  Put("conda-meta/history", "==> 2026-01-01 10:00:00 <==\n# cmd: /home/u/conda create\n+x-1-0\n");
  const size_t padding = placeholder.size() - std::string("/old/place").size();
  Put("bin/b", "\1/old/place/lib"s + std::string(padding, '\0') + "\0after"s);
  Put("etc/t", "root = " + placeholder + "/etc\n");
  ApplyRules(tree_);
  const size_t now = placeholder.size() - std::string("/new/prefix").size();
  EXPECT_EQ(Get("bin/b"), "\1/new/prefix/lib"s + std::string(now, '\0') + "\0after"s);
  EXPECT_EQ(Get("etc/t"), "root = /new/prefix/etc\n");
  const std::string record = Get("conda-meta/x-1-0.json");
  EXPECT_EQ(record.find("/home/u"), std::string::npos);
  EXPECT_EQ(record.find("\"old\""), std::string::npos);
  EXPECT_EQ(Get("conda-meta/history"), "==> 1980-01-01 00:00:00 <==\n+x-1-0\n");
  EXPECT_NE(Get("conda-meta/frozen").find("science"), std::string::npos);
}

TEST_F(RulesTest, ABinaryWithoutRoomIsRefused) {
  recipe_.prefix = "/" + std::string(300, 'p');
  Put("conda-meta/x.json", R"({"paths_data": {"paths": [{"_path": "b", "file_mode": "binary",
                               "prefix_placeholder": "/old/place"}]}})");
  Put("b", "\0/old/place/lib\0after"s);
  try {
    ApplyRules(tree_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.path(), directory_ + "/b");
    EXPECT_NE(error.message().find("at most 10 bytes"), std::string::npos);
  }
}

TEST_F(RulesTest, FilesThatNameWhereTheToolsWorkedAreReported) {
  tree_.build_places = {"/tmp/firn-1/scratch"};
  Put("lib/m.so", "\0/tmp/firn-1/scratch/m.c\0"s);
  Put("lib/n.so", "\0/tmp/firn-1/scratches\0"s);
  EXPECT_EQ(ApplyRules(tree_).leftovers, std::vector<std::string>{"lib/m.so"});
}

TEST_F(RulesTest, DamagedCondaRecordsAreNamed) {
  Put("conda-meta/x.json", "{\"name\": ");
  EXPECT_THROW(ApplyRules(tree_), Error);
}

TEST_F(RulesTest, CachesAndOriginsGo) {
  const std::string site = "lib/python3.11/site-packages/";
  Put(site + "m.py", "");
  Put(site + "__pycache__/m.cpython-311.pyc", "x");
  Put(site + "__pycache__/gone.cpython-311.pyc", "x");
  Put(site + "__pycache__/m.f-1.py311.nbi", "x");
  Put(site + "~ackage/__init__.py", "");
  Put(".cache/pip/x", "");
  const std::string info = site + "m-1.dist-info/";
  Put(info + "uv_cache.json", "{}");
  Put(info + "direct_url.json",
      R"({"url":"file:///home/u/w/m-1-py3-none-any.whl","archive_info":{"hash":"sha256=00"}})");
  Put("bin/m", "#!/old/place/bin/python3\nimport m\n", 0755);
  Put(info + "RECORD",
      "../../../bin/m,sha256=old,10\nm.py,sha256=keep,0\n__pycache__/gone.cpython-311.pyc,,\n"
      "m-1.dist-info/uv_cache.json,sha256=x,2\nm-1.dist-info/direct_url.json,sha256=x,2\n"
      "m-1.dist-info/RECORD,,\n");
  ApplyRules(tree_);
  EXPECT_TRUE(Has(site + "__pycache__/m.cpython-311.pyc"));
  EXPECT_FALSE(Has(site + "__pycache__/gone.cpython-311.pyc"));
  EXPECT_FALSE(Has(site + "__pycache__/m.f-1.py311.nbi"));
  EXPECT_FALSE(Has(site + "~ackage"));
  EXPECT_FALSE(Has(".cache"));
  EXPECT_EQ(Get(info + "direct_url.json"),
            R"({"url":"file:///m-1-py3-none-any.whl","archive_info":{"hash":"sha256=00"}})");
  const std::string record = Get(info + "RECORD");
  EXPECT_EQ(record.find("gone"), std::string::npos);
  EXPECT_EQ(record.find("uv_cache"), std::string::npos);
  EXPECT_EQ(record.find("=old"), std::string::npos);
  EXPECT_NE(record.find("m.py,sha256=keep,0\n"), std::string::npos);
  EXPECT_NE(record.find("m-1.dist-info/RECORD,,\n"), std::string::npos);
}

TEST_F(RulesTest, ThePromptIsTheImagesName) {
  Put("bin/activate",
      "VIRTUAL_ENV=/old/place\nPS1=\"(place) ${PS1:-}\"\nVIRTUAL_ENV_PROMPT=\"place\"\n# place\n");
  Put("bin/activate.csh", "set prompt = \"(mine) $prompt\"\n");
  ApplyRules(tree_);
  EXPECT_EQ(Get("bin/activate"),
            "VIRTUAL_ENV=/new/prefix\nPS1=\"(science) ${PS1:-}\"\n"
            "VIRTUAL_ENV_PROMPT=\"science\"\n# place\n");
  EXPECT_EQ(Get("bin/activate.csh"), "set prompt = \"(mine) $prompt\"\n");
}

TEST_F(RulesTest, ExcludesAreCounted) {
  recipe_.excludes = {"**/*.a", "lib/*/tests/"};
  Put("lib/x.a", "");
  Put("lib/x.so", "");
  Put("lib/pkg/tests/a.py", "");
  Put("lib/pkg/tests/deep/b.py", "");
  EXPECT_EQ(ApplyRules(tree_).excluded, 5u);
  EXPECT_TRUE(Has("lib/x.so"));
  EXPECT_FALSE(Has("lib/x.a"));
  EXPECT_FALSE(Has("lib/pkg/tests"));
}

TEST_F(RulesTest, MarkersNameTheImage) {
  Put("lib/python3.11/os.py", "");
  ApplyRules(tree_);
  const std::string marker = Get("lib/python3.11/EXTERNALLY-MANAGED");
  EXPECT_TRUE(marker.starts_with("[externally-managed]\nError="));
  EXPECT_NE(marker.find("'science'"), std::string::npos);
  EXPECT_NE(marker.find("firn build science.yaml"), std::string::npos);
}

TEST_F(RulesTest, AStubStandsForAPipThatIsNotThere) {
  tree_.image = "it's `id` $HOME";
  Put("lib/python3.11/os.py", "");
  Put("bin/python3", "");
  ApplyRules(tree_);
  const std::string stub = Get("bin/pip");
  EXPECT_EQ(Get("bin/pip3"), stub);
  EXPECT_EQ(Get("bin/pip3.11"), stub);
  const std::string command = directory_ + "/bin/pip install x 2>" + directory_ + "/said";
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 1);
  EXPECT_NE(Get("said").find("the Firn image 'it's `id` $HOME'"), std::string::npos);
  EXPECT_NE(Get("said").find("firn build science.yaml"), std::string::npos);
  // A layer's takes the place of its base's.
  tree_.image = "other";
  ApplyRules(tree_);
  EXPECT_NE(Get("bin/pip3.11"), stub);
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 1);
  EXPECT_NE(Get("said").find("the Firn image 'other'"), std::string::npos);
}

TEST_F(RulesTest, APipThatIsThereStays) {
  Put("lib/python3.11/os.py", "");
  Put("bin/pip3", "#!/bin/sh\n", 0755);
  ApplyRules(tree_);
  EXPECT_EQ(Get("bin/pip3"), "#!/bin/sh\n");
  EXPECT_FALSE(Has("bin/pip"));
  EXPECT_FALSE(Has("bin/pip3.11"));
}

TEST_F(RulesTest, BrokenLinksAndDamagedElfFilesAreLeftAlone) {
  recipe_.rules.strip = std::filesystem::exists("/usr/bin/strip");
  for (int i = 0; i < 10000; ++i) PutLink("links/" + std::to_string(i), "nowhere");
  std::ifstream program("/proc/self/exe", std::ios::binary);
  std::string head(65536, '\0');
  program.read(head.data(), 65536);
  std::string strange = head.substr(0, 64);
  std::fill(strange.begin() + 24, strange.end(), '\xff');
  for (const size_t length : {4u, 63u, 64u, 100u, 1000u, 65536u}) {
    Put("lib/cut-" + std::to_string(length) + ".so", head.substr(0, length), 0755);
  }
  Put("lib/strange.so", strange + head.substr(0, 1000), 0755);
  ApplyRules(tree_);
  for (const size_t length : {4u, 63u, 64u, 100u, 1000u, 65536u}) {
    EXPECT_EQ(Get("lib/cut-" + std::to_string(length) + ".so"), head.substr(0, length));
  }
  EXPECT_EQ(Get("lib/strange.so"), strange + head.substr(0, 1000));
  EXPECT_EQ(LinkTarget(directory_ + "/links/9999"), "nowhere");
  EXPECT_EQ(said_.find("lib/cut-1000.so") != std::string::npos, recipe_.rules.strip);
}

TEST_F(RulesTest, SymbolsAreStripped) {
  if (!std::filesystem::exists("/usr/bin/strip")) GTEST_SKIP() << "strip is not installed";
  recipe_.rules.strip = true;
  std::filesystem::create_directories(directory_ + "/bin");
  std::filesystem::copy_file("/proc/self/exe", directory_ + "/bin/program");
  const uint64_t before = std::filesystem::file_size(directory_ + "/bin/program");
  const RulesReport report = ApplyRules(tree_);
  const uint64_t after = std::filesystem::file_size(directory_ + "/bin/program");
  EXPECT_LT(after, before);
  EXPECT_EQ(report.stripped_bytes, before - after);
  EXPECT_EQ(std::system((directory_ + "/bin/program --gtest_list_tests >/dev/null").c_str()), 0);
}

TEST_F(RulesTest, AVenvWhoseBaseIsGoneIsRefused) {
  Put("pyvenv.cfg", "home = /gone/bin\n");
  PutLink("bin/python3", "/gone/bin/python3");
  try {
    ApplyRules(tree_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInput);
    EXPECT_NE(error.message().find("/gone/bin"), std::string::npos);
  }
}

}  // namespace
}  // namespace firn
