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

}  // namespace
}  // namespace firn
