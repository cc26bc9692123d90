#include "builder/python_tree.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "builder/temporary_directory.h"
#include "builder/tree_walk.h"
#include "format/file.h"

namespace firn {
namespace {

class PythonTreeTest : public testing::Test {
 protected:
  PythonTreeTest() { fd_ = OpenFile(directory_, O_RDONLY | O_DIRECTORY, ErrorKind::kInput); }

  void Write(const std::string& name, const std::string& content = "") const {
    const std::filesystem::path path = directory_ + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << content;
  }
  void WriteProgram(const std::string& name) const {
    Write(name);
    ASSERT_EQ(chmod((directory_ + "/" + name).c_str(), 0755), 0);
  }
  std::unique_ptr<TreeNode> Walk() const {
    WalkOptions options;
    options.poll = [] {};
    return WalkTree(fd_.get(), directory_, options).root;
  }
  std::string Python() const { return FindPython(*Walk(), directory_); }
  static std::vector<std::string> Paths(const TreeNode& node) {
    std::vector<std::string> paths;
    for (const auto& child : node.children) {
      if (child->type != FileType::kDirectory) paths.push_back(child->RelativePath());
      for (std::string& below : Paths(*child)) paths.push_back(std::move(below));
    }
    return paths;
  }

  const TemporaryDirectory made_;
  const std::string directory_ = std::filesystem::canonical(made_.path()).string();
  FileDescriptor fd_;
};

TEST_F(PythonTreeTest, FindsThePython) {
  EXPECT_EQ(Python(), "");
  Write("bin/python3");  // not executable
  WriteProgram("usr/local/bin/python3");
  EXPECT_EQ(Python(), "usr/local/bin/python3");
  WriteProgram("usr/bin/python3.11");
  EXPECT_EQ(Python(), "usr/bin/python3.11");
  WriteProgram("usr/bin/python");
  EXPECT_EQ(Python(), "usr/bin/python");
  WriteProgram("bin/python3.9");
  WriteProgram("bin/python3-config");
  WriteProgram("bin/python3.9-config");
  EXPECT_EQ(Python(), "bin/python3.9");
  ASSERT_EQ(symlink("nowhere", (directory_ + "/bin/python").c_str()), 0);
  EXPECT_EQ(Python(), "bin/python3.9");
}

TEST_F(PythonTreeTest, FindsModulesInOrder) {
  Write("lib/b.py");
  Write("lib/a/x.py");
  Write("lib/a/data.txt");
  Write("lib/.py");
  Write("script.py");
  ASSERT_EQ(symlink("script.py", (directory_ + "/alias.py").c_str()), 0);
  ASSERT_EQ(symlink("/etc/passwd", (directory_ + "/outside.py").c_str()), 0);
  ASSERT_EQ(symlink("lib", (directory_ + "/directory.py").c_str()), 0);
  const auto root = Walk();
  std::vector<std::string> paths;
  for (const PythonModule& module : FindModules(*root, directory_)) paths.push_back(module.path);
  EXPECT_EQ(paths, (std::vector<std::string>{"alias.py", "lib/a/x.py", "lib/b.py", "script.py"}));
}

TEST_F(PythonTreeTest, PutsFilesInOrder) {
  Write("m.py");
  const auto root = Walk();
  TreeNode* cache = CacheDirectory(*root);
  ASSERT_NE(cache, nullptr);
  EXPECT_EQ(CacheDirectory(*root), cache);
  EXPECT_EQ(CachedName("m.py", "cpython-311"), "m.cpython-311.pyc");
  PutFile(*cache, "m.cpython-311.pyc", "/tmp/0", {});
  PutFile(*cache, "a.cpython-311.pyc", "/tmp/1", {});
  PutFile(*cache, "m.cpython-311.pyc", "/tmp/2", {});
  EXPECT_EQ(Paths(*root), (std::vector<std::string>{"__pycache__/a.cpython-311.pyc",
                                                    "__pycache__/m.cpython-311.pyc", "m.py"}));
  EXPECT_EQ(cache->children[1]->source_path, "/tmp/2");
}

TEST_F(PythonTreeTest, AFileMayHaveTheCacheDirectorysName) {
  Write("__pycache__");
  const auto root = Walk();
  EXPECT_EQ(CacheDirectory(*root), nullptr);
}

TEST_F(PythonTreeTest, DropsWhatTimestampsMakeStale) {
  const std::string stamped("\xa7\x0d\x0d\x0a\0\0\0\0\1\1\1\1\2\2\2\2", 16);
  const std::string hashed("\xa7\x0d\x0d\x0a\1\0\0\0\1\1\1\1\2\2\2\2", 16);
  Write("p/m.py");
  Write("p/__pycache__/m.cpython-311.pyc", stamped);
  Write("p/__pycache__/m.cpython-311.opt-1.pyc", stamped);
  Write("p/__pycache__/m.cpython-310.pyc", hashed);
  Write("p/__pycache__/gone.cpython-311.pyc", stamped);
  Write("p/__pycache__/m.pyc", stamped);
  Write("p/__pycache__/m.cpython-39.pyc", "short");
  Write("p/n.pyc", stamped);
  const auto root = Walk();
  DropTimestampBytecode(*root, fd_.get());
  EXPECT_EQ(Paths(*root),
            (std::vector<std::string>{
                "p/__pycache__/gone.cpython-311.pyc", "p/__pycache__/m.cpython-310.pyc",
                "p/__pycache__/m.cpython-39.pyc", "p/__pycache__/m.pyc", "p/m.py", "p/n.pyc"}));
}

}  // namespace
}  // namespace firn
