#include "mountd/access_recorder.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <stdlib.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "mountd/subprocess.h"

namespace firn {
namespace {

using enum ProfileAction;

class AccessRecorderTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "firn-recorder-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    std::filesystem::create_directories(directory_ / "tree" / "a" / "b");
    std::ofstream(directory_ / "tree" / "a" / "file") << std::string(10'000, 'x');
    const std::string image = (directory_ / "image").string();
    const pid_t pid = Spawn({"mksquashfs", (directory_ / "tree").string(), image, "-noappend",
                             "-quiet", "-no-progress"},
                            {});
    ASSERT_GT(pid, 0);
    ASSERT_EQ(WaitForExit(pid), 0);
    image_ = Image::Open(OpenFile(image, O_RDONLY, ErrorKind::kInput), image, cache_,
                         {.allow_foreign = true});
    tree_.Attach(std::make_shared<AttachedImage>(SlotNumber{1}, Borrowed(*image_), 1));
    root_ = MakeNodeId(SlotNumber{1}, image_->root());
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  NodeId NodeOf(NodeId directory, const std::string& name) const {
    const Inode inode = image_->GetInode(InodeOf(directory));
    return MakeNodeId(SlotNumber{1}, image_->Lookup(inode, name).value());
  }

  void Send(uint32_t opcode, NodeId node, const void* body, size_t length) {
    fuse_in_header header{};
    header.opcode = opcode;
    header.nodeid = node;
    header.len = static_cast<uint32_t>(sizeof header + length);
    std::vector<std::byte> request(header.len);
    std::memcpy(request.data(), &header, sizeof header);
    if (length != 0) std::memcpy(request.data() + sizeof header, body, length);
    recorder_.Observe(request);
  }
  void LookUp(NodeId directory, const std::string& name) {
    Send(FUSE_LOOKUP, directory, name.c_str(), name.size() + 1);
  }
  void Read(NodeId file, uint64_t offset, uint32_t size) {
    fuse_read_in read{};
    read.offset = offset;
    read.size = size;
    Send(FUSE_READ, file, &read, sizeof read);
  }

  std::filesystem::path directory_;
  BlockCache cache_{size_t{1} << 20};
  std::unique_ptr<const Image> image_;
  Tree tree_{RootLayout::kSlots};
  NodeId root_ = 0;
  AccessRecorder recorder_;
};

TEST_F(AccessRecorderTest, NamesPathsInOrder) {
  const NodeId a = NodeOf(root_, "a");
  const NodeId file = NodeOf(a, "file");
  LookUp(kRootNode, "1");
  LookUp(root_, "a");
  LookUp(a, "none");
  LookUp(a, "file");
  Send(FUSE_READDIR, a, nullptr, 0);
  Send(FUSE_READDIR, root_, nullptr, 0);
  Read(file, 0, 4096);
  Read(file, 4096, 131072);  // whole pages, behind its end
  LookUp(root_, "a");
  EXPECT_EQ(recorder_.MakeProfile(tree_).entries(),
            (std::vector<ProfileEntry>{{kLookup, "a"},
                                       {kMiss, "a/none"},
                                       {kLookup, "a/file"},
                                       {kList, "a"},
                                       {kList, "."},
                                       {kRead, "a/file", 0, 10'000}}));
}

TEST_F(AccessRecorderTest, JoinsReadsThatArriveInAnyOrder) {
  const NodeId a = NodeOf(root_, "a");
  const NodeId file = NodeOf(a, "file");
  LookUp(root_, "a");
  LookUp(a, "file");
  Read(file, 0, 2000);
  Read(file, 6000, 2000);
  LookUp(a, "none");
  Read(file, 2000, 4000);
  Read(file, 9000, 500);
  EXPECT_EQ(recorder_.MakeProfile(tree_).entries(),
            (std::vector<ProfileEntry>{{kLookup, "a"},
                                       {kLookup, "a/file"},
                                       {kRead, "a/file", 0, 8000},
                                       {kMiss, "a/none"},
                                       {kRead, "a/file", 9000, 500}}));
}

TEST_F(AccessRecorderTest, LeavesOutWhatHasNoPath) {
  Read(NodeOf(NodeOf(root_, "a"), "file"), 0, 4096);  // nobody looked it up
  Send(FUSE_READ, root_, "short", 5);
  recorder_.Observe({});
  Send(FUSE_GETATTR, root_, nullptr, 0);
  EXPECT_TRUE(recorder_.MakeProfile(tree_).entries().empty());
}

}  // namespace
}  // namespace firn
