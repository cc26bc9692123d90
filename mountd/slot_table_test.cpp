#include "mountd/slot_table.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "format/test_image.h"
#include "mountd/equal_files.h"
#include "mountd/subprocess.h"
#include "mountd/tree.h"

namespace firn {
namespace {

class SlotTableTest : public testing::Test {
 protected:
  using Files = std::vector<TestImages::File>;

  // An image of these files in the slot.
  AttachedImage& Attach(uint32_t slot, const Files& files, bool proved = true) {
    return Attach(slot, images_.Make(files), proved);
  }
  AttachedImage& Attach(uint32_t slot, std::shared_ptr<const Image> image, bool proved = true) {
    attached_.push_back(std::make_shared<AttachedImage>(SlotNumber{slot}, std::move(image), 1));
    attached_.back()->SetDigestsProved(proved);
    tree_.Attach(attached_.back());
    return *attached_.back();
  }

  NodeId NodeOf(AttachedImage& image, const std::string& path) const {
    return tree_.Now()->NodeOf(image, InodeAt(image.image(), path));
  }
  static NodeId Own(const AttachedImage& image, const std::string& path) {
    return MakeNodeId(image.slot(), InodeAt(image.image(), path).number);
  }

  TestImages images_;
  std::vector<std::shared_ptr<AttachedImage>> attached_;
  Tree tree_{RootLayout::kSlots};
};

// Somebody else could cut the file short that a user's job reads then.
TEST_F(SlotTableTest, FilesAreSharedWithRootAndWithinOneOwner) {
  const Files files = {{"file", "content"}};
  const auto attach = [&](uint32_t slot, uid_t owner) -> AttachedImage& {
    attached_.push_back(std::make_shared<AttachedImage>(SlotNumber{slot}, images_.Make(files), 1,
                                                        nullptr, FileSystemId{}, owner));
    attached_.back()->SetDigestsProved(true);
    tree_.Attach(attached_.back());
    return *attached_.back();
  };
  AttachedImage& users = attach(1, 1000);
  AttachedImage& roots = attach(2, 0);
  AttachedImage& others = attach(3, 1001);
  AttachedImage& users_second = attach(4, 1000);
  EXPECT_EQ(NodeOf(users, "file"), Own(users, "file"));
  EXPECT_EQ(NodeOf(roots, "file"), Own(roots, "file"));
  EXPECT_EQ(NodeOf(others, "file"), Own(roots, "file"));
  EXPECT_EQ(NodeOf(users_second, "file"), Own(users, "file"));
}

TEST_F(SlotTableTest, NodesAreSlotsAndInodeNumbers) {
  AttachedImage& image = Attach(7, {{"directory/file", "content"}, {"file", "other"}});
  const auto slots = tree_.Now();
  for (const char* path : {"", "directory", "directory/file", "file"}) {
    const Inode inode = InodeAt(image.image(), path);
    const NodeId node = NodeOf(image, path);
    EXPECT_EQ(node, uint64_t{7} << 32 | ToInt(inode.number));
    const SlotTable::Located located = slots->Locate(node);
    EXPECT_EQ(&located.image, &image);
    EXPECT_EQ(located.number, inode.number);
    EXPECT_EQ(StatOf(located.GetInode(), node).st_ino, node);
  }
  EXPECT_TRUE(slots->IsAboveImages(kRootNode));
  EXPECT_FALSE(slots->IsAboveImages(NodeOf(image, "")));
  EXPECT_THROW(slots->Locate(kRootNode), StaleNodeError);
  EXPECT_THROW(slots->Locate(MakeNodeId(SlotNumber{6}, InodeNumber{1})), StaleNodeError);
}

TEST_F(SlotTableTest, TheImagesRootMayBeTheRoot) {
  Tree tree(RootLayout::kImageIsRoot);
  const auto image =
      std::make_shared<AttachedImage>(SlotNumber{1}, images_.Make({{"file", "content"}}), 1);
  tree.Attach(image);
  const auto slots = tree.Now();
  EXPECT_FALSE(slots->IsAboveImages(kRootNode));
  EXPECT_EQ(slots->OwnNodeOf(*image, image->image().root()), kRootNode);
  EXPECT_EQ(slots->Locate(kRootNode).number, image->image().root());
  EXPECT_EQ(slots->NodeOf(*image, InodeAt(image->image(), "file")), (uint64_t{1} << 32) + 1);
  const auto second = std::make_shared<AttachedImage>(SlotNumber{2}, images_.Make({}), 1);
  EXPECT_THROW(tree.Attach(second), Error);
}

TEST_F(SlotTableTest, DirectoriesGoByTheNumbersOfSlots) {
  AttachedImage& image = Attach(12, {{"file", "content"}});
  const auto slots = tree_.Now();
  EXPECT_EQ(slots->FindShown("12"), &image);
  for (const char* name : {"", "1", "012", "+12", "12 ", "12x", "0", "x", "4294967308", "-1"}) {
    EXPECT_EQ(slots->FindShown(name), nullptr) << name;
  }
}

TEST_F(SlotTableTest, EqualFilesShareTheNodeOfTheLowestSlot) {
  AttachedImage& first = Attach(2, {{"a", "one"}, {"b", "two"}, {"c", ""}});
  AttachedImage& second = Attach(5, {{"d", "three"}, {"e", "two"}, {"f", "two", 0755}});
  AttachedImage& third = Attach(
      9, {{"directory/g", "three"}, {"h", "two"}, {"i", ""}, {"j", "two", 0755}, {"k", "4"}});
  EXPECT_EQ(NodeOf(first, "b"), Own(first, "b"));
  EXPECT_EQ(NodeOf(second, "d"), Own(second, "d"));
  EXPECT_EQ(NodeOf(second, "e"), Own(first, "b"));
  EXPECT_EQ(NodeOf(second, "f"), Own(second, "f"));
  EXPECT_EQ(NodeOf(third, "directory/g"), Own(second, "d"));
  EXPECT_EQ(NodeOf(third, "h"), Own(first, "b"));
  EXPECT_EQ(NodeOf(third, "i"), Own(first, "c"));
  EXPECT_EQ(NodeOf(third, "j"), Own(second, "f"));
  EXPECT_EQ(NodeOf(third, "k"), Own(third, "k"));
  EXPECT_EQ(NodeOf(third, "directory"), Own(third, "directory"));
  EXPECT_EQ(NodeOf(third, ""), Own(third, ""));
}

TEST_F(SlotTableTest, FilesOfOneImageNeverShare) {
  AttachedImage& first = Attach(1, {{"a", "same"}, {"b", "same"}});
  AttachedImage& second = Attach(2, {{"a", "same"}, {"b", "same"}, {"c", "same"}});
  AttachedImage& third = Attach(3, {{"a", "same"}, {"b", "same"}, {"c", "same"}, {"d", "same"}});
  EXPECT_NE(NodeOf(first, "a"), NodeOf(first, "b"));
  EXPECT_EQ(NodeOf(second, "a"), Own(first, "a"));
  EXPECT_EQ(NodeOf(second, "b"), Own(first, "b"));
  EXPECT_EQ(NodeOf(second, "c"), Own(second, "c"));
  EXPECT_EQ(NodeOf(third, "a"), Own(first, "a"));
  EXPECT_EQ(NodeOf(third, "b"), Own(first, "b"));
  EXPECT_EQ(NodeOf(third, "c"), Own(second, "c"));
  EXPECT_EQ(NodeOf(third, "d"), Own(third, "d"));
}

TEST_F(SlotTableTest, OnlyProvedImagesTakePart) {
  AttachedImage& first = Attach(1, {{"a", "same"}}, /*proved=*/false);
  AttachedImage& second = Attach(2, {{"a", "same"}});
  AttachedImage& third = Attach(3, {{"a", "same"}}, /*proved=*/false);
  EXPECT_EQ(NodeOf(second, "a"), Own(second, "a"));
  EXPECT_EQ(NodeOf(third, "a"), Own(third, "a"));
  third.SetDigestsProved(true);
  EXPECT_EQ(NodeOf(third, "a"), Own(second, "a"));
  first.SetDigestsProved(true);
  EXPECT_EQ(NodeOf(third, "a"), Own(first, "a"));
  // What was given before means what it meant.
  for (AttachedImage* const image : {&first, &second, &third}) {
    EXPECT_EQ(&tree_.Now()->Locate(Own(*image, "a")).image, image);
  }
}

TEST_F(SlotTableTest, AForeignImageTakesNoPart) {
  const std::string tree = (images_.directory() / "foreign.tree").string();
  std::filesystem::create_directory(tree);
  std::ofstream(tree + "/a") << "same";
  const std::string path = (images_.directory() / "foreign").string();
  const pid_t pid = Spawn(
      {"mksquashfs", tree, path, "-all-root", "-all-time", "5", "-quiet", "-no-progress"}, {});
  ASSERT_GT(pid, 0);
  ASSERT_EQ(WaitForExit(pid), 0);
  AttachedImage& foreign = Attach(1, Image::Open(OpenFile(path, O_RDONLY, ErrorKind::kInput), path,
                                                 images_.cache(), {.allow_foreign = true}));
  AttachedImage& second = Attach(2, {{"a", "same"}});
  EXPECT_TRUE(HaveEqualAttributes(InodeAt(foreign.image(), "a"), InodeAt(second.image(), "a")));
  EXPECT_EQ(NodeOf(second, "a"), Own(second, "a"));
  EXPECT_FALSE(foreign.MayShare());
}

TEST_F(SlotTableTest, ADetachedImageGivesNoNodesToOthers) {
  AttachedImage& first = Attach(1, {{"a", "same"}});
  AttachedImage& second = Attach(2, {{"a", "same"}});
  EXPECT_EQ(NodeOf(second, "a"), Own(first, "a"));
  tree_.Detach(SlotNumber{1});
  EXPECT_EQ(NodeOf(second, "a"), Own(second, "a"));
  EXPECT_EQ(&tree_.Now()->Locate(Own(first, "a")).image, &first);
  EXPECT_EQ(NodeOf(first, "a"), Own(first, "a"));
}

// Whatever comes, goes and is proved: an id means one file, and no two files of an image have it.
TEST_F(SlotTableTest, NoTwoFilesHaveTheSameNodeAtDifferentTimes) {
  const auto files = [](int count) {
    Files all;
    for (int i = 10; i < 10 + count; ++i) all.push_back({std::to_string(i), "same"});
    return all;
  };
  AttachedImage& last = Attach(9, files(6));
  std::map<NodeId, std::string> given;
  const auto look = [&] {
    for (const TestImages::File& file : files(6)) {
      const auto [known, is_new] = given.try_emplace(NodeOf(last, file.path), file.path);
      EXPECT_EQ(known->second, file.path);
    }
  };
  look();
  AttachedImage& low = Attach(3, files(4), /*proved=*/false);
  look();
  Attach(5, files(5));
  look();
  low.SetDigestsProved(true);
  look();
  Attach(1, files(2));
  look();
  tree_.Detach(SlotNumber{5});
  look();
  tree_.Release(SlotNumber{5});
  tree_.Detach(SlotNumber{1});
  look();
  EXPECT_EQ(given.size(), 6u + 4 + 5 + 2);
}

TEST_F(SlotTableTest, AnImageWhoseDigestsCannotBeReadSharesNothing) {
  const auto intact = images_.Make({{"a", "same"}});
  const std::string path = images_.Make({{"a", "same"}, {"b", "more"}})->path();
  // Both files' digests, which are nowhere else.
  const Digest digest = Sha256Of(std::as_bytes(std::span("same", 4)));
  std::string bytes;
  {
    std::ifstream file(path, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), {});
  }
  const size_t at = bytes.find(reinterpret_cast<const char*>(digest.bytes.data()), 0, 32);
  ASSERT_NE(at, std::string::npos);
  bytes[at] = static_cast<char>(bytes[at] ^ 1);
  std::ofstream(path, std::ios::binary) << bytes;
  AttachedImage& damaged =
      Attach(1, Image::Open(OpenFile(path, O_RDONLY, ErrorKind::kInput), path, images_.cache()));
  AttachedImage& second = Attach(2, Borrowed(*intact));
  EXPECT_TRUE(damaged.MayShare());
  EXPECT_EQ(NodeOf(second, "a"), Own(second, "a"));
  EXPECT_FALSE(damaged.MayShare());
  EXPECT_TRUE(second.MayShare());
}

TEST_F(SlotTableTest, DigestsAreReadWhereALowerSlotMayHaveTheFileAlone) {
  AttachedImage& first = Attach(1, {{"a", "same"}});
  AttachedImage& second = Attach(2, {{"a", "same"}}, /*proved=*/false);
  const auto pages_for = [&](AttachedImage& image) {
    const auto pages = [&] {
      return images_.cache().statistics().decoded[static_cast<size_t>(BlockKind::kPage)];
    };
    const Inode inode = InodeAt(image.image(), "a");
    const uint64_t before = pages();
    tree_.Now()->NodeOf(image, inode);
    return pages() - before;
  };
  EXPECT_EQ(pages_for(first), 0u);
  EXPECT_EQ(pages_for(second), 0u);
  second.SetDigestsProved(true);
  EXPECT_EQ(pages_for(second), 2u);  // one of each image
  EXPECT_EQ(pages_for(second), 0u);
}

TEST_F(SlotTableTest, TheRootHasATimeOfItsOwn) {
  const struct stat before = tree_.Now()->StatAboveImages();
  EXPECT_EQ(before.st_nlink, 2u);
  EXPECT_EQ(before.st_mode & 0777, 0511u);
  Attach(1, Files());
  Attach(2, Files());
  const struct stat after = tree_.Now()->StatAboveImages();
  EXPECT_EQ(after.st_nlink, 4u);
  EXPECT_TRUE(after.st_mtim.tv_sec != before.st_mtim.tv_sec ||
              after.st_mtim.tv_nsec != before.st_mtim.tv_nsec);
}

}  // namespace
}  // namespace firn
