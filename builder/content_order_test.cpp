#include "builder/content_order.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "format/error.h"

namespace firn {
namespace {

class ContentOrderTest : public testing::Test {
 protected:
  // Names below a directory must be added in the order of their bytes.
  TreeNode& AddNode(TreeNode& parent, const std::string& name, FileType type, uint64_t size = 0) {
    auto node = std::make_unique<TreeNode>();
    node->name = name;
    node->type = type;
    node->stamp.size = size;
    node->parent = &parent;
    parent.children.push_back(std::move(node));
    return *parent.children.back();
  }
  TreeNode& AddFile(TreeNode& parent, const std::string& name, uint64_t size = 100) {
    return AddNode(parent, name, FileType::kRegular, size);
  }

  static std::vector<std::string> Paths(const std::vector<const TreeNode*>& files) {
    std::vector<std::string> paths;
    for (const TreeNode* file : files) paths.push_back(file->RelativePath());
    return paths;
  }

  TreeNode root_;
};

using Names = std::vector<std::string>;

TEST_F(ContentOrderTest, ModulesStandBesideTheirByteCodeAndTheRestByKind) {
  TreeNode& package = AddNode(root_, "package", FileType::kDirectory);
  TreeNode& cache = AddNode(package, "__pycache__", FileType::kDirectory);
  AddFile(cache, "a.cpython-313.pyc");
  AddFile(cache, "b.cpython-313.pyc");
  AddFile(package, "LICENSE");
  AddFile(package, "a.py");
  AddFile(package, "b.py");
  AddFile(package, "c.h");
  AddFile(package, "x.so");
  AddFile(root_, "z.h");
  AddFile(root_, "z.so.2.1");
  const ContentOrder order = OrderContents(root_, {});
  EXPECT_EQ(order.front, 0u);
  EXPECT_EQ(Paths(order.files),
            (Names{"package/a.py", "package/__pycache__/a.cpython-313.pyc", "package/b.py",
                   "package/__pycache__/b.cpython-313.pyc", "package/LICENSE", "z.h", "package/c.h",
                   "z.so.2.1", "package/x.so"}));
}

TEST_F(ContentOrderTest, TheProfileComesFirst) {
  AddFile(root_, "a");
  TreeNode& b = AddFile(root_, "b");
  AddFile(root_, "c").hard_link = &b;
  AddFile(root_, "d");
  const Profile profile = Profile::Parse(
      "firn-profile 1\nlookup a\nread d 0 10\nread c 0 10\nread d 50 10\nread b 10 10\n", "p");
  const AppliedProfile applied = ApplyProfile(profile, root_);
  EXPECT_EQ(Paths(applied.front), (Names{"d", "b"}));
  const ContentOrder order = OrderContents(root_, applied.front);
  EXPECT_EQ(order.front, 2u);
  EXPECT_EQ(Paths(order.files), (Names{"d", "b", "a"}));
}

TEST_F(ContentOrderTest, WhatDoesNotApplyIsLeftOut) {
  TreeNode& directory = AddNode(root_, "dir", FileType::kDirectory);
  AddFile(directory, "file", 100);
  AddNode(root_, "link", FileType::kSymlink).symlink_target = "dir";
  const Profile profile = Profile::Parse(
      "firn-profile 1\n"
      "list .\n"
      "lookup link\n"
      "lookup gone\n"
      "read gone 0 5\n"
      "read link/file 0 5\n"  // symlinks are not followed
      "list dir/file\n"
      "read dir 0 5\n"
      "miss dir/file\n"  // it is there now
      "miss nowhere/x\n"
      "read dir/file 50 100\n"
      "read dir/file 100 5\n",
      "p");
  const AppliedProfile applied = ApplyProfile(profile, root_);
  EXPECT_EQ(applied.text,
            "firn-profile 1\nlist .\nlookup link\nmiss nowhere/x\nread dir/file 50 50\n");
  EXPECT_EQ(applied.paths_missing, 4u);
  EXPECT_EQ(Paths(applied.front), (Names{"dir/file"}));
}

TEST_F(ContentOrderTest, NothingThatAppliesIsNoProfile) {
  AddFile(root_, "file");
  const AppliedProfile applied = ApplyProfile(
      Profile::Parse("firn-profile 1\nread file/below 0 5\nlookup a/b/c\n", "p"), root_);
  EXPECT_EQ(applied.text, "");
  EXPECT_EQ(applied.paths_missing, 2u);
  EXPECT_TRUE(applied.front.empty());
}

}  // namespace
}  // namespace firn
