#include "format/digest_index.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <map>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "format/error.h"
#include "format/little_endian.h"
#include "format/page_tree.h"

namespace firn {
namespace {

// A section in a file of its own, encoded as FORMAT.md says.
class DigestIndexTest : public testing::Test {
 protected:
  DigestIndexTest() : file_(open(testing::TempDir().c_str(), O_TMPFILE | O_RDWR, 0600)) {}

  static std::vector<uint32_t> Ordered(const std::vector<Digest>& digests) {
    std::multimap<std::pair<Digest, uint32_t>, uint32_t> sorted;
    for (uint32_t i = 1; i <= digests.size(); ++i) sorted.insert({{digests[i - 1], i}, i});
    std::vector<uint32_t> order;
    for (const auto& [key, number] : sorted) order.push_back(number);
    return order;
  }

  DigestIndex Make(uint32_t count, const std::vector<Digest>& digests,
                   const std::vector<uint32_t>& order) {
    std::vector<std::byte> bytes;
    AppendLe<uint32_t>(bytes, count);
    AppendLe<uint32_t>(bytes, 0);
    for (const Digest& digest : digests) {
      bytes.insert(bytes.end(), digest.bytes.begin(), digest.bytes.end());
    }
    for (const uint32_t number : order) AppendLe<uint32_t>(bytes, number);
    const PageTree tree = MakePageTree(bytes);
    WriteAt(file_.get(), 0, bytes);
    WriteAt(file_.get(), bytes.size(), tree.upper_levels);
    return {file_.get(),
            cache_,
            ++image_number_,
            {.name = "digests", .offset = 0, .length = bytes.size(), .digest = tree.root}};
  }
  DigestIndex Make(const std::vector<Digest>& digests) {
    return Make(static_cast<uint32_t>(digests.size()), digests, Ordered(digests));
  }

  static std::vector<uint32_t> FilesOf(const DigestIndex& index, const Digest& digest) {
    std::vector<uint32_t> files;
    const FileRange range = index.FilesWith(digest);
    for (uint64_t i = 0; i < range.count; ++i) {
      files.push_back(ToInt(index.FileAt(range.first + i)));
    }
    return files;
  }

  // Every digest finds the files that have it, in order, and nothing else finds any.
  void Check(const std::vector<Digest>& digests) {
    const DigestIndex index = Make(digests);
    std::map<Digest, std::vector<uint32_t>> expected;
    for (uint32_t i = 1; i <= digests.size(); ++i) expected[digests[i - 1]].push_back(i);
    for (const auto& [digest, files] : expected) {
      EXPECT_EQ(FilesOf(index, digest), files) << ToHex(digest);
      EXPECT_EQ(index.DigestOf(InodeNumber{files.back()}), digest);
      Digest other = digest;
      other.bytes[31] ^= std::byte{1};
      const auto known = expected.find(other);
      EXPECT_EQ(index.FilesWith(other).count, known == expected.end() ? 0u : known->second.size());
    }
    Digest least;
    Digest most;
    most.bytes.fill(std::byte{0xff});
    for (const Digest& digest : {least, most}) {
      EXPECT_EQ(index.FilesWith(digest).count,
                expected.contains(digest) ? expected[digest].size() : 0u);
    }
  }

  static Digest DigestOfNumber(uint64_t number) {
    return Sha256Of(std::as_bytes(std::span(&number, 1)));
  }

  FileDescriptor file_;
  BlockCache cache_{size_t{16} << 20};
  uint32_t image_number_ = 0;
};

TEST_F(DigestIndexTest, FindsEveryFileByItsDigest) {
  std::mt19937 random(5);
  for (const uint32_t count : {0u, 1u, 2u, 3u, 17u, 5000u}) {
    std::vector<Digest> digests;
    for (uint32_t i = 0; i < count; ++i) {
      // Some contents once, some often.
      digests.push_back(DigestOfNumber(i % 3 == 0 ? random() % 10 : i));
    }
    Check(digests);
  }
}

TEST_F(DigestIndexTest, FindsThemWhereDigestsAreNotSpreadEvenly) {
  std::vector<Digest> digests(3000);
  for (uint32_t i = 0; i < digests.size(); ++i) {
    // All but the ends differ in the last bytes alone.
    StoreLe<uint16_t>(digests[i].bytes.data() + 30, static_cast<uint16_t>(i * 7919));
  }
  digests[7].bytes.fill(std::byte{0xff});
  digests[8].bytes.fill(std::byte{0xff});
  Check(digests);
}

TEST_F(DigestIndexTest, ReadsFewPages) {
  std::vector<Digest> digests;
  for (uint32_t i = 0; i < 200'000; ++i) digests.push_back(DigestOfNumber(i));
  const DigestIndex index = Make(digests);
  EXPECT_EQ(FilesOf(index, digests[123'456]), std::vector<uint32_t>{123'457});
  // Of 110, a page of their digests among them; halving would begin with a page a step.
  EXPECT_LE(cache_.statistics().decoded[static_cast<size_t>(BlockKind::kPage)], 12u);
}

TEST_F(DigestIndexTest, AnIndexOutOfOrderGivesNoFileOfAnotherDigest) {
  std::vector<Digest> digests;
  for (uint32_t i = 0; i < 1000; ++i) digests.push_back(DigestOfNumber(i / 3));
  std::vector<uint32_t> order = Ordered(digests);
  std::shuffle(order.begin(), order.end(), std::mt19937(6));
  const DigestIndex index = Make(1000, digests, order);
  for (const Digest& digest : digests) {
    const FileRange range = index.FilesWith(digest);
    if (range.count == 0) continue;
    EXPECT_EQ(index.DigestOf(index.FileAt(range.first)), digest);
  }
}

TEST_F(DigestIndexTest, NumbersOfNoFileAreDamage) {
  const std::vector<Digest> digests = {DigestOfNumber(1), DigestOfNumber(2)};
  for (const uint32_t number : {0u, 3u, UINT32_MAX}) {
    const DigestIndex index = Make(2, digests, {number, number});
    EXPECT_THROW(index.FilesWith(digests[0]), Error);
    EXPECT_THROW(index.DigestOf(InodeNumber{number}), Error);
  }
}

TEST_F(DigestIndexTest, ACountBeyondTheSectionIsDamage) {
  const std::vector<Digest> digests = {DigestOfNumber(1), DigestOfNumber(2)};
  for (const uint32_t count : {3u, 1000u, UINT32_MAX}) {
    const DigestIndex index = Make(count, digests, {1, 2});
    try {
      index.FilesWith(digests[0]);
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kDamaged);
    }
  }
}

}  // namespace
}  // namespace firn
