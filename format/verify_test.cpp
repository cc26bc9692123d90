#include "format/verify.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "format/block_cache.h"
#include "format/error.h"
#include "format/image.h"
#include "format/layout.h"
#include "format/little_endian.h"
#include "format/test_image.h"

namespace firn {
namespace {

std::string Letters(size_t length, unsigned seed) {
  std::mt19937 random(seed);
  std::string text(length, '\0');
  for (char& c : text) c = static_cast<char>(random() % 64);
  return text;
}

// A small image, made once, and what its files hold.
class SmallImage : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    contents_["big"] = Letters(9000, 1);
    contents_["empty"];
    contents_["hole"] = std::string(10000, '\0') + "end";
    contents_["small"] = "a few bytes";
    contents_["tail"] = Letters(5000, 2);
    std::vector<TestImages::File> files;
    for (const auto& [file, content] : contents_) files.push_back({file, content});
    files.push_back({.path = "zlink", .content = {}, .symlink_target = "small"});
    TestImages images;
    bytes_ = AllBytesOf(
        images.Write("small", files, {.block_size = 4096, .jobs = 2, .source_name = {}}).get());
  }

  static std::vector<std::byte> Flipped(size_t at) {
    std::vector<std::byte> bytes = bytes_;
    bytes[at] ^= std::byte{1} << (at % 8);
    return bytes;
  }

  static VerifyReport VerifyBytes(ByteSpan bytes, bool deep = false) {
    return Verify(MemoryFileOf(bytes), "image", {.jobs = 1, .deep = deep, .progress = {}});
  }

  static std::unique_ptr<const Image> Open(ByteSpan bytes, BlockCache& cache) {
    return Image::Open(MemoryFileOf(bytes), "image", cache, {.allow_foreign = true});
  }

  static std::map<std::string, std::string> contents_;
  static std::vector<std::byte> bytes_;
};

std::map<std::string, std::string> SmallImage::contents_;
std::vector<std::byte> SmallImage::bytes_;

TEST_F(SmallImage, IsWhole) {
  const VerifyReport report = VerifyBytes(bytes_);
  for (const VerifyFinding& finding : report.findings) ADD_FAILURE() << finding.message;
  EXPECT_EQ(report.files, contents_.size());
  EXPECT_EQ(report.sections, 3u);
  BlockCache cache(size_t{1} << 20);
  const auto image = Open(bytes_, cache);
  EXPECT_FALSE(image->foreign());
  EXPECT_EQ(image->manifest().name, "small");
  EXPECT_EQ(image->manifest().prefix, "/small");
  EXPECT_EQ(image->id(), report.id);
  for (const auto& [name, content] : contents_) {
    EXPECT_TRUE(ContentOf(*image, InodeAt(*image, name)) == content) << name;
  }
  const Inode root = image->GetInode(image->root());
  EXPECT_EQ(image->ReadLink(image->GetInode(image->Lookup(root, "zlink").value())), "small");
  const InodeNumber small = image->Lookup(root, "small").value();
  EXPECT_EQ(image->FileDigest(small), Sha256Of(std::as_bytes(std::span(contents_.at("small")))));
}

TEST_F(SmallImage, DeepVerificationFindsNothingInAWholeImage) {
  const VerifyReport report = VerifyBytes(bytes_, true);
  for (const VerifyFinding& finding : report.findings) ADD_FAILURE() << finding.message;
  EXPECT_TRUE(report.notes.empty());
  EXPECT_EQ(report.inodes, contents_.size() + 2);
}

TEST_F(SmallImage, DeepVerificationNamesTheFilesOfADamagedFragment) {
  BlockCache cache(size_t{1} << 20);
  const auto image = Open(bytes_, cache);
  const Inode root = image->GetInode(image->root());
  const Inode small = image->GetInode(image->Lookup(root, "small").value());
  const StoredBlock block = image->FragmentOf(small);
  const VerifyReport report = VerifyBytes(Flipped(block.offset + 1), true);
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].path, "small");
  EXPECT_EQ(report.findings[0].offset, block.offset);
}

TEST_F(SmallImage, BytesBehindItsEndAreNamed) {
  std::vector<std::byte> longer = bytes_;
  longer.resize(longer.size() + 777, std::byte{'x'});
  BlockCache cache(size_t{1} << 20);
  try {
    Open(longer, cache);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kDamaged);
    EXPECT_EQ(error.offset(), bytes_.size());
    EXPECT_NE(error.message().find("777 bytes follow"), std::string::npos) << error.message();
  }
}

TEST_F(SmallImage, DamageIsNamedByPathAndOffset) {
  BlockCache cache(size_t{1} << 20);
  const auto image = Open(bytes_, cache);
  const Inode big = image->GetInode(image->Lookup(image->GetInode(image->root()), "big").value());
  const StoredBlock block = image->BlockAt(big, 1);
  const VerifyReport report = VerifyBytes(Flipped(block.offset + block.length / 2));
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].path, "big");
  EXPECT_EQ(report.findings[0].offset, block.offset);
}

TEST_F(SmallImage, ANewerVersionIsUnsupported) {
  std::vector<std::byte> bytes = bytes_;
  std::byte* footer = bytes.data() + bytes.size() - kFooterLength;
  StoreLe<uint32_t>(footer + 8, kFormatVersion + 1);
  StoreLe<uint64_t>(footer + 120, Xxh3Of(ByteSpan(footer, 120)));
  BlockCache cache(size_t{1} << 20);
  try {
    Open(bytes, cache);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
  }
}

}  // namespace
}  // namespace firn
