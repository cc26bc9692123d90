#include "builder/layer_changes.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "builder/temporary_directory.h"

namespace firn {
namespace {

namespace fs = std::filesystem;

class LayerChangesTest : public testing::Test {
 protected:
  void Put(const std::string& path, const std::string& content = "x") const {
    const fs::path at = directory_.path() + "/" + path;
    fs::create_directories(at.parent_path());
    std::ofstream(at, std::ios::binary) << content;
  }
  // False where this user may make none.
  bool PutWhiteout(const std::string& path) const {
    const fs::path at = directory_.path() + "/" + path;
    fs::create_directories(at.parent_path());
    return mknod(at.c_str(), S_IFCHR, makedev(0, 0)) == 0;
  }
  std::string At(const std::string& name) const { return directory_.path() + "/" + name; }

  const std::string site_ = "/lib/python3.11/site-packages/";
  const TemporaryDirectory directory_;
};

TEST_F(LayerChangesTest, PackagesThatAreNewOrTakeThePlaceOfTheBases) {
  Put("tree" + site_ + "Foo_Bar-2.0.dist-info/METADATA");
  Put("tree" + site_ + "new-1.dist-info/METADATA");
  Put("tree" + site_ + "same-1.dist-info/METADATA");
  Put("changes" + site_ + "Foo_Bar-2.0.dist-info/METADATA");
  Put("changes" + site_ + "new-1.dist-info/METADATA");
  // Where whiteouts cannot be made, what a whiteout's name says is enough.
  if (!PutWhiteout("changes" + site_ + "gone-1.dist-info")) {
    Put("changes" + site_ + "gone-1.dist-info");
  }
  bool everything = true;
  const ChangedPackages changed =
      FindChangedPackages(At("tree"), At("changes"), {"foo_bar", "gone", "same"}, everything);
  EXPECT_FALSE(everything);
  EXPECT_EQ(changed.installed, (std::vector<std::string>{"foo_bar", "new"}));
  EXPECT_EQ(changed.replaced, (std::vector<std::string>{"foo_bar", "gone"}));
  EXPECT_EQ(DistributionNames(At("tree")), (std::set<std::string>{"foo_bar", "new", "same"}));
}

TEST_F(LayerChangesTest, WhatRunsInEveryPythonConcernsAll) {
  for (const char* file : {"a.pth", "sitecustomize.py"}) {
    Put(std::string(file) + "/changes" + site_ + file);
    bool everything = false;
    FindChangedPackages(At("tree"), At(std::string(file) + "/changes"), {}, everything);
    EXPECT_TRUE(everything) << file;
  }
}

TEST_F(LayerChangesTest, ProgramsAndLibrariesThatChange) {
  Put("plain/lib/a.py");
  Put("plain/bin/pip", "#!/bin/sh\n");
  Put("plain/empty", "");
  PutWhiteout("plain/lib/__pycache__/a.pyc");
  EXPECT_TRUE(KeepsElfFiles(At("plain")));
  Put("added/lib/a", "\177ELF\1\2");
  EXPECT_FALSE(KeepsElfFiles(At("added")));
  fs::create_directories(At("linked"));
  fs::create_symlink("x.so.1", At("linked/x.so"));
  EXPECT_FALSE(KeepsElfFiles(At("linked")));
  if (PutWhiteout("removed/lib/numpy")) {
    EXPECT_FALSE(KeepsElfFiles(At("removed")));
  }
}

}  // namespace
}  // namespace firn
