#include "format/page_tree.h"

#include <gtest/gtest.h>

namespace firn {
namespace {

// Known answers of SHA-256, from FIPS 180-4's examples.
TEST(Digest, KnowsSha256) {
  EXPECT_EQ(ToHex(Sha256Of({})),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const std::string_view abc = "abc";
  EXPECT_EQ(FormatImageId(Sha256Of(std::as_bytes(std::span(abc)))),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

std::vector<std::byte> Content(size_t length) {
  std::vector<std::byte> content(length);
  for (size_t i = 0; i < length; ++i) content[i] = static_cast<std::byte>(i * 7 + i / 251);
  return content;
}

TEST(PageTree, OfOnePageIsThePlainSha256) {
  for (const size_t length : {size_t{0}, size_t{1}, size_t{65535}, size_t{65536}}) {
    const std::vector<std::byte> content = Content(length);
    const PageTree tree = MakePageTree(content);
    EXPECT_EQ(tree.root, Sha256Of(content));
    EXPECT_TRUE(tree.upper_levels.empty());
    EXPECT_EQ(StoredSectionLength(length), length);
  }
}

TEST(PageTree, OfMorePagesHashesTheHashes) {
  const std::vector<std::byte> content = Content(65536 * 2 + 5);
  const PageTree tree = MakePageTree(content);
  std::vector<std::byte> level;
  for (const auto& [at, length] : {std::pair{0, 65536}, {65536, 65536}, {131072, 5}}) {
    const Digest digest =
        Sha256Of(ByteSpan(content).subspan(static_cast<size_t>(at), static_cast<size_t>(length)));
    level.insert(level.end(), digest.bytes.begin(), digest.bytes.end());
  }
  EXPECT_EQ(tree.upper_levels, level);
  EXPECT_EQ(tree.root, Sha256Of(level));
  EXPECT_EQ(StoredSectionLength(content.size()), content.size() + 96);
}

TEST(PageTree, LevelsAreCountedWithoutTheContent) {
  // 2049 pages make a level of hashes of two pages, and so a third level.
  const uint64_t length = 65536 * 2048 + 1;
  const std::vector<PageTreeLevel> levels = PageTreeLevels(length);
  ASSERT_EQ(levels.size(), 3u);
  EXPECT_EQ(levels[1].offset, length);
  EXPECT_EQ(levels[1].length, 2049u * 32);
  EXPECT_EQ(levels[2].offset, length + 2049 * 32);
  EXPECT_EQ(levels[2].length, 64u);
  EXPECT_EQ(StoredSectionLength(length), length + 2049 * 32 + 64);
}

}  // namespace
}  // namespace firn
