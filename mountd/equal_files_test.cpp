#include "mountd/equal_files.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "format/test_image.h"

namespace firn {
namespace {

class EqualFilesTest : public testing::Test {
 protected:
  // The path in `to` of the counterpart of a file; empty where it has none.
  static std::string Counterpart(const Image& from, const std::string& path, const Image& to) {
    const auto found = EqualFile(from, InodeAt(from, path)).FindIn(to);
    if (!found) return "";
    std::string name;
    to.ListDirectory(to.GetInode(to.root()), 0, [&](const DirectoryEntry& entry) {
      if (entry.inode != *found) return true;
      name = entry.name;
      return false;
    });
    return name;
  }

  TestImages images_;
};

TEST_F(EqualFilesTest, TheSameContentAndAttributesAreEqual) {
  const auto a = images_.Make({{"large", std::string(100'000, 'x')}, {"script", "run", 0755}});
  const auto b = images_.Make({{"big", std::string(100'000, 'x')}, {"z", "run", 0755}});
  EXPECT_EQ(Counterpart(*a, "large", *b), "big");
  EXPECT_EQ(Counterpart(*a, "script", *b), "z");
  EXPECT_EQ(Counterpart(*b, "z", *a), "script");
}

TEST_F(EqualFilesTest, AnyDifferenceMakesThemUnequal) {
  const auto a = images_.Make({{"1", "one"}, {"2", "two"}, {"3", "three"}});
  const auto b = images_.Make(
      {{"1", "One"}, {"2", "two", 0755}, {"3", "three"}, {"4", "three", 0644, /*link_to=*/"3"}});
  const auto c = images_.Make({{"1", "one"}, {"2", "two"}, {"3", "three"}}, /*time=*/6);
  for (const char* name : {"1", "2", "3"}) {
    EXPECT_EQ(Counterpart(*a, name, *b), "") << name;
    EXPECT_EQ(Counterpart(*a, name, *c), "") << name;
  }
  const Inode inode = InodeAt(*a, "1");
  for (const auto& change : std::vector<void (*)(Inode&)>{
           [](Inode& other) { other.mode ^= 1; }, [](Inode& other) { other.uid = 7; },
           [](Inode& other) { other.gid = 7; }, [](Inode& other) { other.mtime = 7; },
           [](Inode& other) { other.link_count = 2; }, [](Inode& other) { other.size = 7; }}) {
    Inode other = inode;
    EXPECT_TRUE(HaveEqualAttributes(inode, other));
    change(other);
    EXPECT_FALSE(HaveEqualAttributes(inode, other));
  }
}

TEST_F(EqualFilesTest, TheKthStandsForTheKth) {
  const auto a = images_.Make({{"1", ""}, {"2", "", 0755}, {"3", ""}, {"4", ""}, {"5", "", 0755}});
  const auto b = images_.Make({{"a", ""}, {"b", ""}, {"c", "", 0755}});
  EXPECT_EQ(Counterpart(*a, "1", *b), "a");
  EXPECT_EQ(Counterpart(*a, "2", *b), "c");
  EXPECT_EQ(Counterpart(*a, "3", *b), "b");
  EXPECT_EQ(Counterpart(*a, "4", *b), "");
  EXPECT_EQ(Counterpart(*a, "5", *b), "");
  EXPECT_EQ(Counterpart(*b, "b", *a), "3");
  EXPECT_EQ(Counterpart(*b, "c", *a), "2");
}

// More files of one content than are ranked, some of other modes, and different ones in each image.
TEST_F(EqualFilesTest, NoTwoFilesHaveTheSameCounterpart) {
  std::vector<TestImages::File> first;
  std::vector<TestImages::File> second;
  for (int i = 100; i < 400; ++i) {
    first.push_back({std::to_string(i), "", i % 7 == 0 ? 0755u : 0644u});
    if (i % 50 != 0) second.push_back({std::to_string(i), "", i % 11 == 0 ? 0755u : 0644u});
  }
  const auto a = images_.Make(first);
  const auto b = images_.Make(second);
  std::set<InodeNumber> found;
  size_t files = 0;
  for (const TestImages::File& file : first) {
    const Inode inode = InodeAt(*a, file.path);
    const auto counterpart = EqualFile(*a, inode).FindIn(*b);
    if (!counterpart) continue;
    ++files;
    EXPECT_TRUE(found.insert(*counterpart).second) << file.path;
    EXPECT_TRUE(HaveEqualAttributes(inode, b->GetInode(*counterpart)));
    // And it leads back.
    EXPECT_EQ(EqualFile(*b, b->GetInode(*counterpart)).FindIn(*a), inode.number);
  }
  EXPECT_GT(files, 200u);
}

}  // namespace
}  // namespace firn
