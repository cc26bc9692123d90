#include "mountd/tree.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "format/test_image.h"
#include "mountd/fuse_mount.h"
#include "mountd/session.h"
#include "mountd/session_memory.h"

namespace firn {
namespace {

class TreeTest : public testing::Test {
 protected:
  std::shared_ptr<AttachedImage> Attached(uint32_t slot, const std::vector<TestImages::File>& files,
                                          std::atomic<uint64_t>* lookups = nullptr) {
    auto image = std::make_shared<AttachedImage>(SlotNumber{slot}, images_.Make(files), 1, lookups);
    image->SetDigestsProved(true);
    return image;
  }

  TestImages images_;
  Tree tree_{RootLayout::kSlots};
};

TEST_F(TreeTest, SlotsComeInAnyOrderAndOnce) {
  tree_.Attach(Attached(3, {}));
  tree_.Attach(Attached(1, {}));
  tree_.Attach(Attached(2, {}));
  std::vector<uint32_t> slots;
  for (const auto& slot : tree_.Now()->slots()) slots.push_back(ToInt(slot.image->slot()));
  EXPECT_EQ(slots, (std::vector<uint32_t>{1, 2, 3}));
  EXPECT_THROW(tree_.Attach(Attached(2, {})), Error);
  EXPECT_THROW(tree_.Attach(Attached(0, {})), Error);
  tree_.Detach(SlotNumber{2});
  EXPECT_THROW(tree_.Attach(Attached(2, {})), Error);
}

TEST_F(TreeTest, EmptySlotsAreNone) {
  tree_.Attach(Attached(1, {}));
  EXPECT_THROW(tree_.Detach(SlotNumber{2}), Error);
  EXPECT_THROW(tree_.Release(SlotNumber{2}), Error);
  EXPECT_THROW(tree_.IsInUse(SlotNumber{2}), Error);
  EXPECT_THROW(tree_.LookupCount(SlotNumber{2}), Error);
}

TEST_F(TreeTest, DetachHidesAndReleaseDrops) {
  tree_.Attach(Attached(1, {{"file", "content"}}));
  const std::weak_ptr<AttachedImage> image = tree_.Now()->Find(SlotNumber{1})->image;
  const NodeId node = MakeNodeId(SlotNumber{1}, InodeNumber{1});
  EXPECT_NE(tree_.Now()->FindShown("1"), nullptr);
  tree_.Detach(SlotNumber{1});
  tree_.Detach(SlotNumber{1});
  EXPECT_EQ(tree_.Now()->FindShown("1"), nullptr);
  EXPECT_EQ(tree_.Now()->Locate(node).number, InodeNumber{1});
  const auto request = tree_.Now();
  tree_.Release(SlotNumber{1});
  EXPECT_THROW(tree_.Now()->Locate(node), StaleNodeError);
  // The request goes on with what it began with.
  EXPECT_EQ(request->Locate(node).GetInode().size, 7u);
  EXPECT_FALSE(image.expired());
}

TEST_F(TreeTest, AReleasedImageIsClosed) {
  tree_.Attach(Attached(1, {}));
  const std::weak_ptr<AttachedImage> image = tree_.Now()->Find(SlotNumber{1})->image;
  tree_.Detach(SlotNumber{1});
  tree_.Release(SlotNumber{1});
  EXPECT_TRUE(image.expired());
}

TEST_F(TreeTest, LookupsAreCountedElsewhere) {
  std::atomic<uint64_t> lookups = 5;
  const auto image = Attached(1, {}, &lookups);
  tree_.Attach(image);
  EXPECT_EQ(tree_.LookupCount(SlotNumber{1}), 5u);
  image->AddLookups(3);
  EXPECT_EQ(lookups, 8u);
  image->SubtractLookups(6);
  EXPECT_EQ(tree_.LookupCount(SlotNumber{1}), 2u);
  image->SubtractLookups(100);
  EXPECT_EQ(lookups, 0u);
}

TEST_F(TreeTest, WhoSawAnImageShownKeepsItInUse) {
  const auto image = Attached(1, {});
  tree_.Attach(image);
  EXPECT_TRUE(tree_.IsInUse(SlotNumber{1}));
  auto request = tree_.Now();
  tree_.Detach(SlotNumber{1});
  EXPECT_TRUE(tree_.IsInUse(SlotNumber{1}));
  const auto later = tree_.Now();
  tree_.Attach(Attached(2, {}));
  EXPECT_TRUE(tree_.IsInUse(SlotNumber{1}));
  image->AddLookups(1);
  request.reset();
  EXPECT_TRUE(tree_.IsInUse(SlotNumber{1}));
  image->SubtractLookups(1);
  EXPECT_FALSE(tree_.IsInUse(SlotNumber{1}));
}

TEST_F(TreeTest, ChangesWhileRequestsLookAtIt) {
  const std::vector<TestImages::File> files = {{"a", "one"}, {"b", "two"}};
  const auto image = Attached(1000, files);
  tree_.Attach(image);
  const Inode inode = InodeAt(image->image(), "b");
  std::atomic<bool> ending = false;
  std::atomic<uint64_t> wrong = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&] {
      while (!ending.load()) {
        const auto slots = tree_.Now();
        const SlotTable::Located located = slots->Locate(slots->NodeOf(*image, inode));
        wrong += located.GetInode().size == 3 ? 0 : 1;
      }
    });
  }
  for (uint32_t slot = 1; slot <= 50; ++slot) {
    tree_.Attach(Attached(slot, files));
    if (slot % 2 == 0) std::this_thread::yield();
    tree_.Detach(SlotNumber{slot});
    while (tree_.IsInUse(SlotNumber{slot})) std::this_thread::yield();
    tree_.Release(SlotNumber{slot});
  }
  ending = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0u);
}

// A session of several images, mounted in a namespace of its own.
class MountedTreeTest : public TreeTest {
 protected:
  void SetUp() override {
    if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) != 0) {
      GTEST_SKIP() << "mounting takes root and /dev/fuse";
    }
    if (unshare(CLONE_NEWNS) != 0 ||
        mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      GTEST_SKIP() << "no private mount namespace can be made here";
    }
    place_ = (images_.directory() / "mount").string();
    std::filesystem::create_directory(place_);
    fuse_ = OpenFuseDevice();
    MountFuse(fuse_.get(), place_, {.source = "pool"});
    session_ = std::make_unique<Session>(tree_, fuse_.get(), memory_, ServeOptions{.threads = 4});
    session_->Start();
  }
  void TearDown() override {
    if (session_ != nullptr) umount2(place_.c_str(), MNT_DETACH);
  }

  std::string At(const std::string& path) const { return place_ + "/" + path; }

  static std::string Read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static ino_t NumberOf(const std::string& path) {
    struct stat status {};
    return stat(path.c_str(), &status) == 0 ? status.st_ino : 0;
  }
  std::set<std::string> Names(const std::string& path = "") const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(At(path))) {
      names.insert(entry.path().filename());
    }
    return names;
  }
  // The kernel forgets in its own time.
  void WaitUntilForgotten(uint32_t slot) const {
    while (tree_.IsInUse(SlotNumber{slot})) std::this_thread::yield();
  }

  std::string place_;
  FileDescriptor fuse_;
  SessionMemory memory_;
  std::unique_ptr<Session> session_;
};

TEST_F(MountedTreeTest, ImagesComeAndGo) {
  using Set = std::set<std::string>;
  EXPECT_EQ(Names(), Set{});
  tree_.Attach(Attached(1, {{"file", "of the first"}}));
  tree_.Attach(Attached(20, {{"directory/file", "of the second"}}));
  EXPECT_EQ(Names(), (Set{"1", "20"}));
  EXPECT_EQ(Read(At("1/file")), "of the first");
  EXPECT_EQ(Read(At("20/directory/file")), "of the second");
  EXPECT_EQ(Read(At("20/directory/../../1/file")), "of the first");
  EXPECT_EQ(NumberOf(At("2")), 0u);
  tree_.Attach(Attached(2, {}));
  EXPECT_EQ(Names(), (Set{"1", "2", "20"}));
  EXPECT_NE(NumberOf(At("2")), 0u);
  tree_.Detach(SlotNumber{1});
  EXPECT_EQ(Names(), (Set{"2", "20"}));
  EXPECT_EQ(NumberOf(At("1/file")), 0u);
}

TEST_F(MountedTreeTest, ManySlotsAreListedInPieces) {
  std::set<std::string> expected;
  for (uint32_t slot = 1; slot <= 200; ++slot) {
    tree_.Attach(Attached(slot * 3, {}));
    expected.insert(std::to_string(slot * 3));
  }
  EXPECT_EQ(Names(), expected);
  for (uint32_t slot = 1; slot <= 200; ++slot)
    EXPECT_NE(tree_.LookupCount(SlotNumber{slot * 3}), 0u);
}

TEST_F(MountedTreeTest, EqualFilesAreOneInode) {
  tree_.Attach(Attached(1, {{"a", "same"}, {"b", "first"}}));
  tree_.Attach(Attached(2, {{"a", "second"}, {"c", "same"}}));
  EXPECT_EQ(NumberOf(At("2/c")), MakeNodeId(SlotNumber{1}, InodeNumber{1}));
  EXPECT_EQ(NumberOf(At("2/c")), NumberOf(At("1/a")));
  EXPECT_NE(NumberOf(At("2/a")), NumberOf(At("1/a")));
  EXPECT_EQ(Read(At("2/c")), "same");
  const uint64_t reads = session_->requests().Snapshot().at("READ");
  EXPECT_EQ(Read(At("1/a")), "same");
  EXPECT_EQ(session_->requests().Snapshot().at("READ"), reads);
}

TEST_F(MountedTreeTest, LookupsAreOfTheSlotWhoseNodesWereGiven) {
  std::atomic<uint64_t> first = 0;
  std::atomic<uint64_t> second = 0;
  tree_.Attach(Attached(1, {{"a", "same"}}, &first));
  tree_.Attach(Attached(2, {{"b", "same"}, {"c", "other"}}, &second));
  NumberOf(At("2/b"));
  EXPECT_EQ(first, 1u);
  EXPECT_EQ(second, 1u);  // its root
  NumberOf(At("2/none"));
  NumberOf(At("2/c"));
  // The root's entry is asked for each time.
  EXPECT_EQ(first, 1u);
  EXPECT_EQ(second, 4u);
  // READDIRPLUS gives both files once more.
  Names("2");
  EXPECT_EQ(first, 2u);
  EXPECT_EQ(second, 6u);
}

TEST_F(MountedTreeTest, ADetachedImageIsServedUntilItIsForgotten) {
  const std::string content(20'000, 'x');
  tree_.Attach(Attached(1, {{"a", content}, {"directory/b", "more"}}));
  tree_.Attach(Attached(2, {{"c", content}}));
  EXPECT_EQ(Names("1/directory"), std::set<std::string>{"b"});
  {
    // By way of the second image, as its node is the first one's.
    std::ifstream file(At("2/c"), std::ios::binary);
    tree_.Detach(SlotNumber{1});
    EXPECT_EQ(NumberOf(At("1")), 0u);
    EXPECT_TRUE(tree_.IsInUse(SlotNumber{1}));
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), content);
  }
  tree_.Detach(SlotNumber{2});
  EXPECT_EQ(NumberOf(At("2")), 0u);
  WaitUntilForgotten(1);
  WaitUntilForgotten(2);
  EXPECT_EQ(tree_.LookupCount(SlotNumber{1}), 0u);
  tree_.Release(SlotNumber{1});
  tree_.Release(SlotNumber{2});
  EXPECT_EQ(session_->errors().other, 0u);
}

TEST_F(MountedTreeTest, WhoHoldsAReleasedImageSeesThatItIsStale) {
  tree_.Attach(Attached(1, {{"directory/b", "more"}}));
  const FileDescriptor root = OpenFile(At("1"), O_PATH | O_DIRECTORY, ErrorKind::kInput);
  tree_.Detach(SlotNumber{1});
  tree_.Release(SlotNumber{1});
  EXPECT_LT(openat(root.get(), "directory", O_RDONLY), 0);
  EXPECT_EQ(errno, ESTALE);
  EXPECT_NE(session_->errors().other, 0u);
}

TEST_F(MountedTreeTest, StatfsIsOfTheSlotAndOfAllAbove) {
  tree_.Attach(Attached(1, {{"a", "one"}}));
  tree_.Attach(Attached(2, {{"b", "two"}, {"c", "three"}}));
  struct statvfs first {};
  struct statvfs second {};
  struct statvfs all {};
  ASSERT_EQ(statvfs(At("1").c_str(), &first), 0);
  ASSERT_EQ(statvfs(At("2/b").c_str(), &second), 0);
  ASSERT_EQ(statvfs(place_.c_str(), &all), 0);
  EXPECT_EQ(first.f_files, 2u);
  EXPECT_EQ(second.f_files, 3u);
  EXPECT_EQ(all.f_files, 5u);
  EXPECT_EQ(all.f_blocks, first.f_blocks + second.f_blocks);  // all of 4096 bytes
}

}  // namespace
}  // namespace firn
