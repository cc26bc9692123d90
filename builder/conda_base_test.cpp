#include "builder/conda_base.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "builder/temporary_directory.h"
#include "format/error.h"

namespace firn {
namespace {

namespace fs = std::filesystem;

const std::string kHashA(32, 'a');
const std::string kHashB(32, 'b');
const std::string kLongHash(64, 'c');

class CondaBaseTest : public ::testing::Test {
 protected:
  void Put(const std::string& path, const std::string& content = "x") {
    fs::create_directories(fs::path(At(path)).parent_path());
    std::ofstream(At(path)) << content;
  }
  void Record(const std::string& name, const std::string& version, const std::string& rest) {
    Put("conda-meta/" + name + "-" + version + "-h_0.json",
        R"({"name": ")" + name + R"(", "version": ")" + version + R"(", "build": "h_0", )" + rest +
            "}");
  }
  bool Has(const std::string& path) const { return fs::exists(fs::symlink_status(At(path))); }
  std::string At(const std::string& path) const { return directory_.path() + "/tree/" + path; }
  std::string tree() const { return directory_.path() + "/tree"; }

  CondaAddition Compare(const std::string& lines) const {
    return CompareWithBase(tree(), "@EXPLICIT\n" + lines, "F");
  }
  std::string Refusal(const std::string& lines) const {
    try {
      Compare(lines);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInput);
      return error.what();
    }
    return {};
  }

  TemporaryDirectory directory_;
};

TEST_F(CondaBaseTest, LeavesOutWhatTheBaseHas) {
  Record("same", "1.0", R"("md5": ")" + kHashA + "\"");
  Record("by-sha", "1!2.0", R"("md5": ")" + kHashA + R"(", "sha256": ")" + kLongHash + "\"");
  Record("no-hash", "3", R"("files": [])");
  Record("older", "1.0", R"("md5": ")" + kHashA + "\"");
  const CondaAddition addition =
      Compare("https://x/linux-64/same-1.0-h_0.conda#" + kHashA + "\r\n" +
              "https://x/noarch/by-sha-1%212.0-h_0.tar.bz2#sha256:" + kLongHash + "\n" +
              "https://x/noarch/no-hash-3-h_0.conda#" + kHashB + "\n" +
              "https://x/noarch/older-1.0-h_0.conda#" + kHashB + "\n" +
              "https://x/noarch/a-new-one-1.0-py_1.conda#" + kHashB + "\n");
  EXPECT_EQ(addition.kept, 3u);
  EXPECT_EQ(addition.added, 2u);
  EXPECT_EQ(addition.replaced, std::vector<std::string>{"conda-meta/older-1.0-h_0.json"});
  EXPECT_EQ(addition.list, "@EXPLICIT\nhttps://x/noarch/older-1.0-h_0.conda#" + kHashB +
                               "\nhttps://x/noarch/a-new-one-1.0-py_1.conda#" + kHashB + "\n");
}

TEST_F(CondaBaseTest, RefusesWhatCannotGoOverTheBase) {
  Put("bin/python3");
  EXPECT_NE(Refusal("").find("without conda-meta"), std::string::npos);
  Record("python", "3.11.2", R"("files": [])");
  EXPECT_EQ(Refusal("https://x/linux-64/python-3.11.9-h_0.conda#" + kHashA + "\n"), "");
  EXPECT_NE(Refusal("https://x/linux-64/python-3.12.1-h_0.conda#" + kHashA + "\n")
                .find("expected Python 3.11"),
            std::string::npos);
  EXPECT_NE(Refusal("https://x/linux-64/python-3.conda#" + kHashA + "\n").find("NAME-VERSION"),
            std::string::npos);
}

TEST_F(CondaBaseTest, RemovesTheFilesOfPackages) {
  Put("lib/p/gone/module.py");
  Put("lib/p/gone/__pycache__/module.cpython-311.pyc");
  Put("lib/p/gone/__pycache__/modules.cpython-311.pyc");
  Put("lib/p/empty/deep/file");
  Put("share/both");
  Put("share/own");
  Record("gone", "1", R"("files": ["lib/p/gone/module.py", "lib/p/empty/deep/file", "share/both",
                                   "not/there", "share"])");
  Record("kept", "1", R"("files": ["share/both"])");
  RemoveCondaPackages(tree(), {"conda-meta/gone-1-h_0.json"}, [] {});
  EXPECT_FALSE(Has("lib/p/gone/module.py"));
  EXPECT_FALSE(Has("lib/p/gone/__pycache__/module.cpython-311.pyc"));
  EXPECT_TRUE(Has("lib/p/gone/__pycache__/modules.cpython-311.pyc"));
  EXPECT_FALSE(Has("lib/p/empty"));
  EXPECT_TRUE(Has("share/both"));
  EXPECT_TRUE(Has("share/own"));
  EXPECT_FALSE(Has("conda-meta/gone-1-h_0.json"));
  EXPECT_TRUE(Has("conda-meta/kept-1-h_0.json"));
}

TEST_F(CondaBaseTest, RemovesNothingOutsideOfTheTree) {
  Put("../outside/file");
  Put("file");
  fs::create_directory_symlink("../outside", At("link"));
  fs::create_directory_symlink(directory_.path() + "/outside", At("absolute"));
  Record("bad", "1",
         R"("files": ["../outside/file", "link/file", "absolute/file",
                                  "/../outside/file", ")" +
             At("../outside/file") + "\"]");
  RemoveCondaPackages(tree(), {"conda-meta/bad-1-h_0.json"}, [] {});
  EXPECT_TRUE(fs::exists(directory_.path() + "/outside/file"));
  EXPECT_FALSE(Has("conda-meta/bad-1-h_0.json"));
}

}  // namespace
}  // namespace firn
