#include "builder/tree_walk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "format/error.h"

namespace firn {
namespace {

class TreeWalkTest : public testing::Test {
 protected:
  TreeWalkTest() {
    std::string name = testing::TempDir() + "/walk.XXXXXX";
    directory_ = mkdtemp(name.data());
    fd_ = OpenFile(directory_, O_RDONLY | O_DIRECTORY, ErrorKind::kInput);
    options_.poll = [] {};
  }
  ~TreeWalkTest() override { std::filesystem::remove_all(directory_); }

  std::string Path(const std::string& name) const { return directory_ + "/" + name; }
  void Write(const std::string& name, const std::string& content = "x") const {
    std::ofstream(Path(name)) << content;
  }
  WalkedTree Walk() const { return WalkTree(fd_.get(), "tree", options_); }
  static std::vector<std::string> Names(const TreeNode& node) {
    std::vector<std::string> names;
    for (const auto& child : node.children) names.push_back(child->name);
    return names;
  }

  std::string directory_;
  FileDescriptor fd_;
  WalkOptions options_;
};

TEST_F(TreeWalkTest, SortsByBytes) {
  for (const char* name : {"b", "B", "a", "a.b", "a-b", "\xc3\xa4", "\xff", "~"}) Write(name);
  EXPECT_EQ(Names(*Walk().root),
            (std::vector<std::string>{"B", "a", "a-b", "a.b", "b", "~", "\xc3\xa4", "\xff"}));
}

TEST_F(TreeWalkTest, NormalisesModes) {
  Write("data");
  Write("program");
  Write("half");
  ASSERT_EQ(chmod(Path("data").c_str(), 0600), 0);
  ASSERT_EQ(chmod(Path("program").c_str(), 06700), 0);
  ASSERT_EQ(chmod(Path("half").c_str(), 0641), 0);
  ASSERT_EQ(symlink("data", Path("link").c_str()), 0);
  const WalkedTree tree = Walk();
  ASSERT_EQ(tree.root->children.size(), 4u);
  EXPECT_EQ(tree.root->permissions, 0755u);
  EXPECT_EQ(tree.root->children[0]->permissions, 0644u);
  EXPECT_EQ(tree.root->children[1]->permissions, 0755u);
  EXPECT_EQ(tree.root->children[2]->permissions, 0777u);
  EXPECT_EQ(tree.root->children[2]->symlink_target, "data");
  EXPECT_EQ(tree.root->children[3]->permissions, 0755u);
  options_.keep_modes = true;
  const WalkedTree kept = Walk();
  EXPECT_EQ(kept.root->permissions, 0700u);
  EXPECT_EQ(kept.root->children[0]->permissions, 0600u);
  EXPECT_EQ(kept.root->children[3]->permissions, 06700u);
}

TEST_F(TreeWalkTest, LinksEveryNameToTheFirst) {
  Write("b");
  std::filesystem::create_directory(Path("a"));
  std::filesystem::create_hard_link(Path("b"), Path("c"));
  std::filesystem::create_hard_link(Path("b"), Path("a/z"));
  Write("single");
  const WalkedTree tree = Walk();
  LinkHardLinks(*tree.root);
  const TreeNode* first = tree.root->children[0]->children[0].get();
  EXPECT_EQ(first->hard_link, nullptr);
  EXPECT_EQ(tree.root->children[1]->hard_link, first);
  EXPECT_EQ(tree.root->children[2]->hard_link, first);
  EXPECT_EQ(tree.root->children[3]->hard_link, nullptr);
  EXPECT_EQ(first->RelativePath(), "a/z");
}

TEST_F(TreeWalkTest, RefusesSpecialFilesByName) {
  Write("file");
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  try {
    Walk();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInput);
    EXPECT_NE(error.message().find("tree/fifo: is a fifo"), std::string::npos) << error.what();
  }
  options_.skip_special = true;
  const WalkedTree tree = Walk();
  EXPECT_EQ(tree.skipped_special, 1u);
  EXPECT_EQ(Names(*tree.root), std::vector<std::string>{"file"});
}

TEST_F(TreeWalkTest, ListsSomeOfManyProblems) {
  for (int i = 0; i < 30; ++i) ASSERT_EQ(mkfifo(Path(std::to_string(i)).c_str(), 0600), 0);
  try {
    Walk();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("and 20 more"), std::string::npos) << error.what();
  }
}

TEST_F(TreeWalkTest, LeavesOutWhatItIsTold) {
  Write("file");
  Write("image");
  struct stat status;
  ASSERT_EQ(lstat(Path("image").c_str(), &status), 0);
  options_.left_out = {SourceStamp::Of(status)};
  EXPECT_EQ(Names(*Walk().root), std::vector<std::string>{"file"});
}

TEST_F(TreeWalkTest, PollsForEveryEntry) {
  for (int i = 0; i < 5; ++i) Write(std::to_string(i));
  int calls = 0;
  options_.poll = [&] {
    if (++calls == 3) throw Error(ErrorKind::kInterrupted, "enough");
  };
  EXPECT_THROW(Walk(), Error);
  EXPECT_EQ(calls, 3);
}

}  // namespace
}  // namespace firn
