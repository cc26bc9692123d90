#include "mountd/read_ahead.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>

#include "mountd/subprocess.h"

namespace firn {
namespace {

constexpr uint64_t kBlock = 128 << 10;
constexpr uint64_t kFileLength = 64 * kBlock;

// An image, made by mksquashfs, with one file of many blocks.
class ReadAheadTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "firn-read-ahead-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    const std::filesystem::path tree = directory_ / "tree";
    std::filesystem::create_directory(tree);
    std::mt19937 random(3);
    std::string content(kFileLength, '\0');
    for (char& c : content) c = static_cast<char>(random() % 16);
    std::ofstream(tree / "file", std::ios::binary) << content;
    const std::string image = (directory_ / "image").string();
    const pid_t pid = Spawn({"mksquashfs", tree.string(), image, "-noappend", "-quiet",
                             "-no-progress", "-comp", "zstd", "-b", "128K"},
                            {});
    ASSERT_GT(pid, 0);
    ASSERT_EQ(WaitForExit(pid), 0);
    image_ = Image::Open(OpenFile(image, O_RDONLY, ErrorKind::kInput), image, cache_,
                         {.allow_foreign = true});
    file_ = image_->GetInode(*image_->Lookup(image_->GetInode(image_->root()), "file"));
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  uint64_t Decoded() const {
    return cache_.statistics().decoded[static_cast<size_t>(BlockKind::kData)];
  }

  std::filesystem::path directory_;
  BlockCache cache_{size_t{64} << 20};
  std::unique_ptr<const Image> image_;
  Inode file_;
};

TEST_F(ReadAheadTest, DecodesWhatComesNextAndNothingTwice) {
  {
    ReadAhead ahead(*image_, 2);
    for (uint64_t at = 0; at < kFileLength; at += kBlock) {
      ahead.Observe(file_, at, kBlock);
      image_->Read(file_, at, kBlock);
    }
  }
  EXPECT_EQ(Decoded(), kFileLength / kBlock);
}

TEST_F(ReadAheadTest, GoesAheadOfTheReader) {
  ReadAhead ahead(*image_, 1);
  for (uint64_t at = 0; at < 20 * kBlock; at += kBlock) ahead.Observe(file_, at, kBlock);
  // Nobody reads: what is decoded was decoded ahead. It comes in its own time.
  while (Decoded() < 20) std::this_thread::yield();
}

TEST_F(ReadAheadTest, LeavesJumpingReadersAlone) {
  {
    ReadAhead ahead(*image_, 2);
    for (uint64_t i = 0; i < 64; ++i) ahead.Observe(file_, i * 37 % 64 * kBlock, 4096);
    for (int i = 0; i < 3; ++i) ahead.Observe(file_, 0, kBlock);
  }
  EXPECT_EQ(Decoded(), 0u);
}

TEST_F(ReadAheadTest, EndsWithTheFile) {
  {
    ReadAhead ahead(*image_, 2);
    for (uint64_t at = kFileLength - 20 * kBlock; at < kFileLength; at += kBlock) {
      ahead.Observe(file_, at, kBlock);
    }
    ahead.Observe(file_, kFileLength, kBlock);
  }
  EXPECT_LE(Decoded(), 20u);
}

}  // namespace
}  // namespace firn
