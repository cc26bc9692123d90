// Files of images whose checksums are all right, and whose inodes lie about their contents.
#include "format/file_reader.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "format/error.h"
#include "format/image.h"
#include "format/test_image.h"
#include "format/test_tables.h"

namespace firn {
namespace {

class LyingFiles : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string blocks;
    for (int i = 0; blocks.size() < 9000; ++i) blocks += std::to_string(i);
    TestImages images;
    bytes_ = AllBytesOf(
        images
            .Write("image",
                   {{"blocks", blocks}, {"other", std::string(5000, 'o')}, {"tail", "a tail"}},
                   {.block_size = 4096, .level = 1, .source_name = {}})
            .get());
  }

  // What reading the file gives after that change: an error's message, or "" and the right bytes.
  static std::string Reading(const std::string& name,
                             const std::function<void(PlainImage&)>& change) {
    PlainImage image(bytes_);
    change(image);
    BlockCache cache(size_t{1} << 20);
    try {
      const auto opened = Image::Open(MemoryFileOf(image.Build()), "image", cache);
      ContentOf(*opened, InodeAt(*opened, "tail"));
      ContentOf(*opened, InodeAt(*opened, name));
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kDamaged) << error.what();
      EXPECT_EQ(error.path(), "image");
      return error.message();
    }
    return {};
  }

  static void ExpectError(const std::string& name, const std::string& part,
                          const std::function<void(PlainImage&)>& change) {
    const std::string message = Reading(name, change);
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }

  static std::vector<std::byte> bytes_;
};

std::vector<std::byte> LyingFiles::bytes_;

constexpr uint32_t kBlocks = 1;
constexpr uint32_t kOther = 2;
constexpr uint32_t kTail = 3;

TEST_F(LyingFiles, AsTheyWereTheyAreRead) {
  EXPECT_EQ(Reading("blocks", [](PlainImage&) {}), "");
  EXPECT_EQ(Reading("other", [](PlainImage&) {}), "");
}

TEST(FileReaderTest, AFileOfMoreBlocksThanASegmentIsReadAnywhere) {
  constexpr uint64_t kZeros = uint64_t{9} << 20;
  TestImages images;
  const auto image = images.Make({{"huge", std::string(kZeros, '\0') + "end"}});
  const Inode huge = InodeAt(*image, "huge");
  EXPECT_GT(huge.file.block_count, 2048u);
  EXPECT_EQ(ContentOf(*image, huge, kZeros - 2, 100), std::string(2, '\0') + "end");
  EXPECT_EQ(ContentOf(*image, huge, huge.size, 1), "");
  EXPECT_EQ(ContentOf(*image, huge, ~uint64_t{0}, 1), "");
}

TEST_F(LyingFiles, BlocksHaveTheLengthThatTheFileNeeds) {
  ExpectError("blocks", "bytes, expected 5", [](PlainImage& image) {
    Put<uint32_t>(image.inodes, image.At(kBlocks) + 28, 4096 * 2 + 5);
  });
  ExpectError("blocks", "impossible length of 16777215", [](PlainImage& image) {
    Put<uint32_t>(image.inodes, image.At(kBlocks) + 32, 0xffffff);
  });
  ExpectError("blocks", "impossible length", [](PlainImage& image) {
    Put<uint32_t>(image.inodes, image.At(kBlocks) + 32, 0xff000010);
  });
  ExpectError("blocks", "behind the end of the SquashFS part", [](PlainImage& image) {
    Put<uint32_t>(image.inodes, image.At(kBlocks) + 16, 0xfffffff0);
  });
}

TEST_F(LyingFiles, TailsLieInTheirFragment) {
  ExpectError("tail", "a file's tail lies outside its fragment block",
              [](PlainImage& image) { Put<uint32_t>(image.inodes, image.At(kTail) + 24, 4090); });
  ExpectError("tail", "entry 7 asked of a table of 1",
              [](PlainImage& image) { Put<uint32_t>(image.inodes, image.At(kTail) + 20, 7); });
  ExpectError("tail", "a fragment block is empty",
              [](PlainImage& image) { Put<uint32_t>(image.fragments, 8, 0); });
}

TEST_F(LyingFiles, TwoInodesOfOneNumberAreToldApart) {
  PlainImage image(bytes_);
  Put<uint32_t>(image.inodes, image.At(kOther) + 12, kBlocks);
  BlockCache cache(size_t{1} << 20);
  const auto opened = Image::Open(MemoryFileOf(image.Build()), "image", cache);
  ContentOf(*opened, InodeAt(*opened, "blocks"));
  EXPECT_THROW(InodeAt(*opened, "other"), Error);
  // What two would be whose list of blocks is one in the cache.
  Inode lying = InodeAt(*opened, "blocks");
  lying.file.block_count = 100;
  lying.size = 100 * 4096;
  try {
    ContentOf(*opened, lying, 50 * 4096, 1);
    ADD_FAILURE() << "read";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "two inodes have one number");
  }
}

}  // namespace
}  // namespace firn
