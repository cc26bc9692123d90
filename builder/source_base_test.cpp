#include "builder/source_base.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "builder/temporary_directory.h"

namespace firn {
namespace {

namespace fs = std::filesystem;

TEST(StaleBytecodeTest, GoesWhereTheSourceIsAnother) {
  const TemporaryDirectory directory;
  const auto put = [&](const std::string& path) {
    fs::create_directories(fs::path(directory.path() + "/" + path).parent_path());
    std::ofstream(directory.path() + "/" + path) << "x";
  };
  const auto has = [&](const std::string& path) {
    return fs::exists(directory.path() + "/tree/lib/" + path);
  };
  for (const char* path :
       {"new.py", "__pycache__/new.cpython-311.pyc", "__pycache__/new.cpython-311.opt-1.pyc",
        "__pycache__/newer.cpython-311.pyc", "__pycache__/both.cpython-311.pyc", "other/a.py"}) {
    put(std::string("tree/lib/") + path);
  }
  for (const char* path : {"new.py", "both.py", "__pycache__/both.cpython-311.pyc", "other/a.py"}) {
    put(std::string("changes/lib/") + path);
  }
  // Of a hostile base: what it leads to is the host's.
  put("outside/a.cpython-311.pyc");
  fs::create_directory_symlink("../../../outside",
                               directory.path() + "/tree/lib/other/__pycache__");

  DropStaleBytecode(directory.path() + "/tree", directory.path() + "/changes");
  EXPECT_FALSE(has("__pycache__/new.cpython-311.pyc"));
  EXPECT_FALSE(has("__pycache__/new.cpython-311.opt-1.pyc"));
  EXPECT_TRUE(has("__pycache__/newer.cpython-311.pyc"));
  EXPECT_TRUE(has("__pycache__/both.cpython-311.pyc"));  // made by the tool that wrote both.py
  EXPECT_TRUE(fs::exists(directory.path() + "/outside/a.cpython-311.pyc"));
}

TEST(AllowInstallsTest, TakesAwayWhatTheRulesPutThere) {
  const TemporaryDirectory directory;
  const auto put = [&](const std::string& path, const std::string& content) {
    fs::create_directories(fs::path(directory.path() + "/" + path).parent_path());
    std::ofstream(directory.path() + "/" + path) << content;
  };
  const auto has = [&](const std::string& path) {
    return fs::exists(fs::symlink_status(directory.path() + "/" + path));
  };
  const std::string stub =
      "#!/bin/sh\n# Stands for the pip that this environment does not have: put here by firn "
      "build.\nexit 1\n";
  put("tree/lib/python3.11/EXTERNALLY-MANAGED", "x");
  put("tree/conda-meta/frozen", "x");
  put("tree/bin/pip", stub);
  put("tree/bin/pip3", "#!/bin/sh\n");
  put("tree/bin/tool", stub);
  put("outside/pip", stub);
  fs::create_symlink("../../outside/pip", directory.path() + "/tree/bin/pip4");

  AllowInstalls(directory.path() + "/tree");
  EXPECT_FALSE(has("tree/lib/python3.11/EXTERNALLY-MANAGED"));
  EXPECT_FALSE(has("tree/conda-meta/frozen"));
  EXPECT_FALSE(has("tree/bin/pip"));
  EXPECT_TRUE(has("tree/bin/pip3"));
  EXPECT_TRUE(has("tree/bin/pip4"));
  EXPECT_TRUE(has("tree/bin/tool"));

  fs::remove_all(directory.path() + "/tree/bin");
  fs::create_directory_symlink("../outside", directory.path() + "/tree/bin");
  AllowInstalls(directory.path() + "/tree");
  EXPECT_TRUE(has("outside/pip"));
}

}  // namespace
}  // namespace firn
