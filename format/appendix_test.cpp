#include "format/appendix.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

#include "format/error.h"
#include "format/image.h"
#include "format/little_endian.h"
#include "format/superblock.h"
#include "format/test_image.h"
#include "format/test_seal.h"
#include "format/verify.h"

namespace firn {
namespace {

using ImageBytes = std::vector<std::byte>;

// An image whose checksums are right, and what it says is not.
class LyingImage : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    TestImages images;
    bytes_ = AllBytesOf(
        images
            .Write("image",
                   {{"a", std::string(9000, 'a')}, {"b", "tail of one"}, {"c", "tail of another"}},
                   {.block_size = 4096, .level = 1, .source_name = {}})
            .get());
  }

  // What is said of the image, "" where it opens.
  static std::string RefusalOf(const ImageBytes& bytes) {
    BlockCache cache(size_t{1} << 20);
    try {
      Image::Open(MemoryFileOf(bytes), "image", cache);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kDamaged) << error.what();
      EXPECT_EQ(error.path(), "image");
      EXPECT_TRUE(error.offset()) << error.what();
      return error.message();
    }
    return {};
  }

  static void ExpectRefused(const ImageBytes& bytes, const std::string& part) {
    const std::string message = RefusalOf(bytes);
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
  static void ExpectFooterRefused(const std::string& part,
                                  const std::function<void(Footer&)>& change) {
    ImageBytes bytes = bytes_;
    ChangeFooter(bytes, change);
    ExpectRefused(bytes, part);
  }
  static void ExpectCoreRefused(const std::string& part,
                                const std::function<void(CoreTable&)>& change) {
    ImageBytes bytes = bytes_;
    ChangeCore(bytes, change);
    ExpectRefused(bytes, part);
  }

  // All that Verify() finds, a line each.
  static std::string FindingsOf(const ImageBytes& bytes, bool deep = false) {
    std::string text;
    for (const VerifyFinding& finding :
         Verify(MemoryFileOf(bytes), "image", {.jobs = 1, .deep = deep, .progress = {}}).findings) {
      text += finding.path + ": " + finding.message + "\n";
    }
    return text;
  }
  static void ExpectFound(const ImageBytes& bytes, const std::string& part, bool deep = false) {
    const std::string findings = FindingsOf(bytes, deep);
    EXPECT_NE(findings.find(part), std::string::npos) << findings;
  }
  // A section that nothing knows takes the place of that one.
  static ImageBytes Without(std::string_view name) {
    ImageBytes bytes = bytes_;
    ChangeCore(bytes, [&](CoreTable& core) {
      for (Section& section : core.sections) {
        if (section.name == name) section.name = "other";
      }
    });
    return bytes;
  }

  static ImageBytes bytes_;
};

ImageBytes LyingImage::bytes_;

TEST_F(LyingImage, SealedAgainItIsTheSame) {
  ImageBytes bytes = bytes_;
  SealExtents(bytes);
  EXPECT_EQ(bytes, bytes_);
  EXPECT_EQ(RefusalOf(bytes), "");
  EXPECT_EQ(FindingsOf(bytes, true), "");
}

TEST_F(LyingImage, AFooterPointsIntoTheFile) {
  const std::string outside = "places the core table outside the file";
  ExpectFooterRefused(outside, [](Footer& footer) { footer.core_offset = bytes_.size(); });
  ExpectFooterRefused(outside, [](Footer& footer) { footer.core_offset = ~uint64_t{0}; });
  ExpectFooterRefused(outside, [](Footer& footer) { footer.core_length = uint64_t{1} << 63; });
  ExpectFooterRefused("SHA-256 is not the image id",
                      [](Footer& footer) { footer.core_length = 0; });
  ExpectFooterRefused("the footer speaks of a file of 1 bytes",
                      [](Footer& footer) { footer.file_length = 1; });
  ExpectFooterRefused("places the signature area outside the file", [](Footer& footer) {
    footer.signatures_offset = bytes_.size() - 200;
    footer.signatures_length = 200;
  });
  ExpectFooterRefused("places the signature area before the core table's end", [](Footer& footer) {
    footer.signatures_offset = footer.core_offset;
    footer.signatures_length = 8;
  });
}

TEST_F(LyingImage, ACoreTablePlacesSectionsBehindEachOther) {
  const std::string length = "gives the SquashFS part an impossible length";
  ExpectCoreRefused(length, [](CoreTable& core) { core.squashfs_length = 0; });
  ExpectCoreRefused(length, [](CoreTable& core) { core.squashfs_length = bytes_.size(); });
  const std::string misplaced = "misplaces section manifest";
  ExpectCoreRefused(misplaced, [](CoreTable& core) { core.sections[0].offset = 0; });
  ExpectCoreRefused(misplaced, [](CoreTable& core) { ++core.sections[0].offset; });
  ExpectCoreRefused(misplaced, [](CoreTable& core) { core.sections[0].offset = bytes_.size(); });
  ExpectCoreRefused(misplaced, [](CoreTable& core) { core.sections[0].length = ~uint64_t{0} - 7; });
  ExpectCoreRefused("misplaces section extents",
                    [](CoreTable& core) { core.sections[1].offset = core.sections[0].offset; });
}

TEST_F(LyingImage, TheSquashfsPartIsAsLongAsItSays) {
  ExpectCoreRefused("superblock and core table disagree",
                    [](CoreTable& core) { core.squashfs_length += 8; });
}

TEST_F(LyingImage, SectionsThatMustBeThereAreNamed) {
  ExpectRefused(Without(kManifestSection), "section manifest is missing");
  ExpectRefused(Without(kExtentsSection), "section extents is missing");
  ExpectRefused(Without(kDigestsSection), "section digests is missing");
  ExpectFound(Without(kExtentsSection), "section extents is missing");
  ExpectFound(Without(kDigestsSection), "section digests is missing");
  ExpectFound(Without(kExtentsSection), "section extents is missing", true);
}

TEST_F(LyingImage, AManifestHasALimit) {
  const FileDescriptor file = MemoryFileOf(bytes_);
  const Appendix appendix = Appendix::ReadImage(file.get(), "image");
  EXPECT_EQ(appendix.file_length(), bytes_.size());
  EXPECT_NE(appendix.ReadManifestYaml(file.get()).find("name: \"image\""), std::string::npos);
  try {
    appendix.ReadSection(file.get(), kManifestSection, 10);
    ADD_FAILURE() << "read";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kDamaged);
    EXPECT_NE(error.message().find("more than the 10 that it may have"), std::string::npos);
  }
}

TEST_F(LyingImage, ASectionReadAsAWholeIsCheckedAsAWhole) {
  const CoreTable core = CoreOf(bytes_);
  ImageBytes bytes = bytes_;
  bytes[core.Find(kManifestSection)->offset + 3] ^= std::byte{1};
  ExpectRefused(bytes, "section manifest does not have the SHA-256 of the core table");
  const FileDescriptor file = MemoryFileOf(bytes_);
  const Appendix appendix = Appendix::ReadImage(file.get(), "image");
  ASSERT_EQ(ftruncate(file.get(), static_cast<off_t>(core.sections[0].offset + 10)), 0);
  try {
    appendix.ReadManifest(file.get());
    ADD_FAILURE() << "read";
  } catch (const Error& error) {
    EXPECT_EQ(error.path(), "image");
    EXPECT_EQ(error.offset(), core.sections[0].offset + 10);
    EXPECT_EQ(error.message(), "the file ends early");
  }
}

TEST_F(LyingImage, ExtentsTileTheSquashfsPart) {
  const auto change = [](size_t record, size_t field, uint64_t by) {
    ImageBytes bytes = bytes_;
    ChangeSection(bytes, kExtentsSection, [&](MutableByteSpan content) {
      std::byte* at = content.data() + record * Extent::kEncodedLength + field;
      StoreLe<uint64_t>(at, LoadLe<uint64_t>(at) + by);
    });
    return bytes;
  };
  ExpectFound(change(1, 0, 1), "extent 1 starts at 161, expected 160");
  ExpectFound(change(0, 8, uint64_t{2} << 20), "impossible length");
  ExpectRefused(change(0, 8, uint64_t{2} << 20), "impossible length");
  ExpectRefused(change(0, 0, 1), "no extent covers this byte");
  const size_t last = CoreOf(bytes_).Find(kExtentsSection)->length / Extent::kEncodedLength - 1;
  ExpectFound(change(last, 8, ~uint64_t{0}), "the SquashFS part at");
}

TEST_F(LyingImage, ExtentsAreAWholeNumberOfRecords) {
  for (const uint64_t length : {uint64_t{0}, uint64_t{55}}) {
    ImageBytes bytes = bytes_;
    ChangeCore(bytes, [&](CoreTable& core) {
      Section& extents = core.sections[1];
      extents.length = length;
      extents.digest = Sha256Of(ByteSpan(bytes).subspan(extents.offset, length));
    });
    ExpectRefused(bytes, "expected a multiple of 56");
  }
}

TEST_F(LyingImage, DigestsAreThoseOfTheFilesAndInOrder) {
  const auto change = [](size_t offset) {
    ImageBytes bytes = bytes_;
    ChangeSection(bytes, kDigestsSection,
                  [&](MutableByteSpan content) { content[offset] ^= std::byte{1}; });
    return bytes;
  };
  ExpectFound(change(0), "section digests");
  // Of the second file.
  ExpectFound(change(8 + 32), "b: content has SHA-256");
  ImageBytes bytes = bytes_;
  ChangeSection(bytes, kDigestsSection, [](MutableByteSpan content) {
    std::swap_ranges(content.begin() + 8 + 3 * 32, content.begin() + 8 + 3 * 32 + 4,
                     content.begin() + 8 + 3 * 32 + 4);
  });
  ExpectFound(bytes, "the index is not ordered by digest");
  ChangeSection(bytes, kDigestsSection, [](MutableByteSpan content) {
    StoreLe<uint32_t>(content.data() + 8 + 3 * 32, 99);
  });
  ExpectFound(bytes, "the index is not ordered by digest");
}

TEST_F(LyingImage, AnImageOfAnotherIdThanExpectedIsUntrusted) {
  BlockCache cache(size_t{1} << 20);
  const Digest id = FooterOf(bytes_).image_id;
  EXPECT_EQ(Image::Open(MemoryFileOf(bytes_), "image", cache, {.expected_id = id})->id(), id);
  try {
    Image::Open(MemoryFileOf(bytes_), "image", cache, {.expected_id = Digest{}});
    ADD_FAILURE() << "opened";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUntrusted);
    EXPECT_NE(error.message().find(FormatImageId(id)), std::string::npos);
  }
}

TEST_F(LyingImage, SuperblocksThatLieAreFoundThoughTheirChecksumsAreRight) {
  const auto change = [](size_t offset, uint64_t value) {
    ImageBytes bytes = bytes_;
    StoreLe<uint64_t>(bytes.data() + offset, value);
    SealExtents(bytes);
    return bytes;
  };
  // The root's reference: into the wrong place, and to what is no directory.
  ExpectRefused(change(32, uint64_t{1} << 40), "a reference leads");
  ExpectRefused(change(32, 0), "the root is not a directory");
  ExpectRefused(change(32, 9000), "a reference leads behind the end of a block");
  ExpectRefused(change(40, FooterOf(bytes_).core_offset), "disagree on the SquashFS part");
  ExpectFound(change(32, 0), "superblock: the root is no directory", true);
  // The time, which the manifest has too, and the number of fragments.
  const uint64_t time_and_block = LoadLe<uint64_t>(bytes_.data() + 8);
  ExpectFound(change(8, time_and_block + 1), "superblock: ", true);
  const uint64_t fragments = LoadLe<uint64_t>(bytes_.data() + 16);
  ExpectFound(change(16, fragments | 0xffffffff), "more fragments than its table can hold", true);
}

}  // namespace
}  // namespace firn
