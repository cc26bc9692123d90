// Images whose checksums are all right, and whose file system contradicts itself or the appendix.
#include "format/verify_deep.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "format/test_image.h"
#include "format/test_tables.h"
#include "format/verify.h"

namespace firn {
namespace {

// Numbers of the tree's inodes: regular files first.
constexpr uint32_t kBlocksFile = 1;  // "a": three blocks, 301 names
constexpr uint32_t kTailFile = 2;    // "d/t"
constexpr uint32_t kHoleFile = 3;    // "hole"
constexpr uint32_t kRoot = 4;
constexpr uint32_t kSmallDirectory = 5;  // "d"
constexpr uint32_t kSymlink = 6;         // "d/link", to "../a"
constexpr uint32_t kLargeDirectory = 7;  // "e": 300 names of "a"
constexpr uint32_t kInodes = 7;

class DeepVerification : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string blocks;
    for (int i = 0; blocks.size() < 9000; ++i) blocks += std::to_string(i);
    std::vector<TestImages::File> files = {
        {.path = "a", .content = blocks},
        {.path = "d/link", .content = {}, .symlink_target = "../a"},
        {.path = "d/t", .content = "a tail"}};
    for (int i = 100; i < 400; ++i) {
      files.push_back({.path = "e/" + std::to_string(i), .content = {}, .link_to = "a"});
    }
    files.push_back({.path = "hole", .content = std::string(8192, '\0') + "end"});
    TestImages images;
    bytes_ = AllBytesOf(
        images.Write("image", files, {.block_size = 4096, .level = 1, .source_name = {}}).get());
  }

  static VerifyReport ReportOf(const PlainImage& image) {
    return Verify(MemoryFileOf(image.Build()), "image", {.jobs = 1, .deep = true, .progress = {}});
  }

  static std::string FindingsOf(const PlainImage& image) {
    std::string text;
    for (const VerifyFinding& finding : ReportOf(image).findings) {
      text += finding.path + ": " + finding.message + "\n";
    }
    return text;
  }

  // With that change `text` is found.
  static void ExpectFound(const std::string& text, const std::function<void(PlainImage&)>& change) {
    PlainImage image(bytes_);
    change(image);
    const std::string findings = FindingsOf(image);
    EXPECT_NE(findings.find(text), std::string::npos) << "expected " << text << ", found\n"
                                                      << findings;
  }

  // Offset in the listings of a directory's first run.
  static uint64_t ListingOf(const PlainImage& image, uint32_t directory) {
    const uint64_t at = image.At(directory);
    const bool extended = Get<uint16_t>(image.inodes, at) == 8;
    return Get<uint16_t>(image.inodes, at + (extended ? 34 : 26));
  }

  static TableBytes bytes_;
};

TableBytes DeepVerification::bytes_;

TEST_F(DeepVerification, AnImagePutTogetherAgainIsWhole) {
  const PlainImage image(bytes_);
  ASSERT_EQ(image.exports.size(), kInodes * 8);
  const VerifyReport report = ReportOf(image);
  for (const VerifyFinding& finding : report.findings) ADD_FAILURE() << finding.message;
  EXPECT_TRUE(report.notes.empty());
  EXPECT_EQ(report.inodes, kInodes);
  EXPECT_EQ(report.files, 3u);
}

TEST_F(DeepVerification, InodesAreAsManyAsTheSuperblockSaysAndHaveNumbersOfTheirOwn) {
  ExpectFound("the inode table has 7 inodes, the superblock says 8",
              [](PlainImage& image) { Put<uint32_t>(image.head, 4, kInodes + 1); });
  ExpectFound("something follows the last inode of the inode table",
              [](PlainImage& image) { image.inodes.resize(image.inodes.size() + 4); });
  ExpectFound("two inodes have the number 1", [](PlainImage& image) {
    Put<uint32_t>(image.inodes, image.At(kTailFile) + 12, kBlocksFile);
  });
  ExpectFound("inode 99 of 7",
              [](PlainImage& image) { Put<uint32_t>(image.inodes, image.At(kTailFile) + 12, 99); });
  ExpectFound("export table: inode 1 is said to be at", [](PlainImage& image) {
    std::swap_ranges(image.exports.begin(), image.exports.begin() + 8, image.exports.begin() + 8);
  });
}

TEST_F(DeepVerification, WhatCannotBeAnInodeIsNamedAndTheOthersAreReadByTheirNumbers) {
  ExpectFound("inode table: type 15 is none",
              [](PlainImage& image) { Put<uint16_t>(image.inodes, image.At(kTailFile), 15); });
  ExpectFound("d/t: its inode, number 2, cannot be read",
              [](PlainImage& image) { Put<uint16_t>(image.inodes, image.At(kTailFile), 15); });
  ExpectFound("an owner has number 5 of 1 ids",
              [](PlainImage& image) { Put<uint16_t>(image.inodes, image.At(kTailFile) + 4, 5); });
  ExpectFound("a symlink has an impossible length", [](PlainImage& image) {
    Put<uint32_t>(image.inodes, image.At(kSymlink) + 20, 1u << 20);
  });
  ExpectFound("a file has an impossible size", [](PlainImage& image) {
    Put<uint64_t>(image.inodes, image.At(kHoleFile) + 24, uint64_t{1} << 63);
  });
  ExpectFound(": the symlink's target has a NUL",
              [](PlainImage& image) { Put<uint8_t>(image.inodes, image.At(kSymlink) + 25, 0); });
}

TEST_F(DeepVerification, BlocksStandInTheDataAndHolesAreCounted) {
  ExpectFound("inode 1: block 0 has an impossible length", [](PlainImage& image) {
    Put<uint32_t>(image.inodes, image.At(kBlocksFile) + 56, 0xffffff);
  });
  ExpectFound("inode 1: block 0 at 0 stands outside the data", [](PlainImage& image) {
    Put<uint64_t>(image.inodes, image.At(kBlocksFile) + 16, 0);
  });
  ExpectFound("inode 3 says that 1 bytes are in holes, these are 8192",
              [](PlainImage& image) { Put<uint64_t>(image.inodes, image.At(kHoleFile) + 32, 1); });
  ExpectFound("a: ", [](PlainImage& image) { image.head[kFirstDataOffset + 9] ^= std::byte{1}; });
}

TEST_F(DeepVerification, ListingsHaveNamesInTheirOrderThatLeadToTheirInodes) {
  ExpectFound("d/li/k: a name that no file may have", [](PlainImage& image) {
    Put<uint8_t>(image.listings, ListingOf(image, kSmallDirectory) + 12 + 8 + 2, uint8_t{0x2f});
  });
  ExpectFound("d/t: does not stand in the order of names", [](PlainImage& image) {
    Put<uint8_t>(image.listings, ListingOf(image, kSmallDirectory) + 12 + 8, uint8_t{0x7a});
  });
  ExpectFound("d/link: the listing says that it is of another type than it is",
              [](PlainImage& image) {
                Put<uint16_t>(image.listings, ListingOf(image, kSmallDirectory) + 12 + 4, 2);
              });
  ExpectFound("d/link: the listing leads to another inode than its number does",
              [](PlainImage& image) {
                Put<uint16_t>(image.listings, ListingOf(image, kSmallDirectory) + 12,
                              static_cast<uint16_t>(image.At(kRoot)));
              });
  ExpectFound("d/link: leads to inode 5006, which is not there", [](PlainImage& image) {
    const uint64_t at = ListingOf(image, kSmallDirectory) + 12 + 2;
    Put<uint16_t>(image.listings, at,
                  static_cast<uint16_t>(Get<uint16_t>(image.listings, at) + 5000));
  });
}

TEST_F(DeepVerification, ListingsEndWhereTheirInodesSay) {
  ExpectFound("d: a run has too many entries", [](PlainImage& image) {
    Put<uint32_t>(image.listings, ListingOf(image, kSmallDirectory), 256);
  });
  ExpectFound("d: the listing is longer than its inode says", [](PlainImage& image) {
    const uint64_t at = image.At(kSmallDirectory) + 24;
    Put<uint16_t>(image.inodes, at, static_cast<uint16_t>(Get<uint16_t>(image.inodes, at) - 1));
  });
  ExpectFound("has its listing where another directory has it", [](PlainImage& image) {
    const bool extended = Get<uint16_t>(image.inodes, image.At(kLargeDirectory)) == 8;
    Put<uint16_t>(image.inodes, image.At(kLargeDirectory) + (extended ? 34 : 26),
                  static_cast<uint16_t>(ListingOf(image, kSmallDirectory)));
  });
  ExpectFound("inode 2 is in no directory", [](PlainImage& image) {
    Put<uint16_t>(image.inodes, image.At(kSmallDirectory) + 24, 3);
  });
}

TEST_F(DeepVerification, ParentsLinkCountsAndTheIndexAreThoseOfTheTree) {
  ExpectFound("d: names another directory as its parent", [](PlainImage& image) {
    Put<uint32_t>(image.inodes, image.At(kSmallDirectory) + 28, kLargeDirectory);
  });
  ExpectFound("/: the root says that it has a parent",
              [](PlainImage& image) { Put<uint32_t>(image.inodes, image.At(kRoot) + 28, 1); });
  ExpectFound("a: inode 1 has a link count of 7, expected 301", [](PlainImage& image) {
    Put<uint32_t>(image.inodes, image.At(kBlocksFile) + 40, 7);
  });
}

// "e" with an index by hand, of its second run.
void AddIndex(PlainImage& image, uint32_t in_listing, const std::string& name) {
  const uint64_t at = image.At(kLargeDirectory);
  const TableBytes& old = image.inodes;
  TableBytes inode(old.begin() + static_cast<ptrdiff_t>(at),
                   old.begin() + static_cast<ptrdiff_t>(at) + 16);
  const bool was_extended = Get<uint16_t>(old, at) == 8;
  ASSERT_FALSE(was_extended);
  Put<uint16_t>(inode, 0, 8);
  AppendLe<uint32_t>(inode, Get<uint32_t>(old, at + 20));
  AppendLe<uint32_t>(inode, Get<uint16_t>(old, at + 24));
  AppendLe<uint32_t>(inode, Get<uint32_t>(old, at + 16));
  AppendLe<uint32_t>(inode, Get<uint32_t>(old, at + 28));
  AppendLe<uint16_t>(inode, 1);
  AppendLe<uint16_t>(inode, Get<uint16_t>(old, at + 26));
  AppendLe<uint32_t>(inode, 0xffffffff);
  AppendLe<uint32_t>(inode, in_listing);
  AppendLe<uint32_t>(inode, 0);
  AppendLe<uint32_t>(inode, static_cast<uint32_t>(name.size() - 1));
  for (const char c : name) inode.push_back(static_cast<std::byte>(c));
  // In the place of the old one: what follows moves.
  const ptrdiff_t grown = static_cast<ptrdiff_t>(inode.size()) - 32;
  const TableBytes rest(old.begin() + static_cast<ptrdiff_t>(at) + 32, old.end());
  image.inodes.resize(at);
  image.inodes.insert(image.inodes.end(), inode.begin(), inode.end());
  image.inodes.insert(image.inodes.end(), rest.begin(), rest.end());
  for (uint32_t number = 1; number <= kInodes; ++number) {
    if (image.At(number) <= at) continue;
    Put<uint64_t>(image.exports, (number - 1) * 8, image.At(number) + static_cast<uint64_t>(grown));
  }
  Put<uint64_t>(image.head, 32, image.At(kRoot));
  // The root's entries are a, d, e and hole.
  const uint64_t listing = Get<uint16_t>(image.inodes, image.At(kRoot) + 26);
  Put<uint16_t>(image.listings, listing + 12 + 3 * 9, static_cast<uint16_t>(image.At(kHoleFile)));
}

TEST_F(DeepVerification, AnIndexLeadsToRuns) {
  PlainImage image(bytes_);
  if (Get<uint16_t>(image.inodes, image.At(kLargeDirectory)) == 8) {
    GTEST_SKIP() << "the library wrote an index of its own";
  }
  const uint64_t listing = ListingOf(image, kLargeDirectory);
  const uint32_t first_run = Get<uint32_t>(image.listings, listing) + 1;
  ASSERT_EQ(first_run, 256u);
  const uint32_t second_run = 12 + 256 * (8 + 3);
  AddIndex(image, second_run, "356");
  const std::string findings = FindingsOf(image);
  EXPECT_EQ(findings, "");
  ExpectFound("e: entry 0 of its index leads to no run of it",
              [&](PlainImage& other) { AddIndex(other, second_run, "357"); });
  ExpectFound("e: entry 0 of its index leads to no run of it",
              [&](PlainImage& other) { AddIndex(other, second_run + 1, "356"); });
  ExpectFound("a name in the index is too long",
              [&](PlainImage& other) { AddIndex(other, second_run, std::string(300, 'n')); });
}

TEST_F(DeepVerification, TheSuperblockAgreesWithTablesAndManifest) {
  ExpectFound("superblock: block size 4096, the manifest says 8192",
              [](PlainImage& image) { image.manifest.block_size = 8192; });
  ExpectFound("compressor options: level 7, the manifest says 1", [](PlainImage& image) {
    Put<uint16_t>(image.head, 24, Get<uint16_t>(image.head, 24) | 0x400);
    Put<uint16_t>(image.head, 96, 0x8004);
    Put<uint32_t>(image.head, 98, 7);
  });
  ExpectFound("flags speak of an export table that is not there", [](PlainImage& image) {
    image.change_superblock = [](TableBytes& bytes) { Put<uint64_t>(bytes, 88, kNoTable); };
  });
  ExpectFound("the xattr table starts outside the file system", [](PlainImage& image) {
    image.change_superblock = [](TableBytes& bytes) { Put<uint64_t>(bytes, 56, bytes.size()); };
  });
  ExpectFound("fragment 0: leads to",
              [](PlainImage& image) { Put<uint64_t>(image.fragments, 0, 0); });
}

// One attribute, "user.note", and an entry with it, that of "a".
void AddAttribute(PlainImage& image, uint16_t type, std::string_view name, uint32_t value_length,
                  const TableBytes& value) {
  AppendLe<uint16_t>(image.xattr_pairs, type);
  AppendLe<uint16_t>(image.xattr_pairs, static_cast<uint16_t>(name.size()));
  for (const char c : name) image.xattr_pairs.push_back(static_cast<std::byte>(c));
  AppendLe<uint32_t>(image.xattr_pairs, value_length);
  image.xattr_pairs.insert(image.xattr_pairs.end(), value.begin(), value.end());
  AppendLe<uint64_t>(image.xattr_entries, 0);
  AppendLe<uint32_t>(image.xattr_entries, 1);
  AppendLe<uint32_t>(image.xattr_entries, 13);
  Put<uint32_t>(image.inodes, image.At(kBlocksFile) + 52, 0);
}

TEST_F(DeepVerification, AttributesAreWhatTheKernelWouldRead) {
  PlainImage image(bytes_);
  AddAttribute(image, 0, "note", 4, TableBytes(4, std::byte{'t'}));
  EXPECT_EQ(FindingsOf(image), "");
  // A value that stands elsewhere: where the first one's length is.
  PlainImage shared(bytes_);
  TableBytes place;
  AppendLe<uint64_t>(place, 2 + 2 + 4 + 4 + 8);
  AddAttribute(shared, 0x100, "note", 8, place);
  AppendLe<uint32_t>(shared.xattr_pairs, 2);
  shared.xattr_pairs.resize(shared.xattr_pairs.size() + 2);
  EXPECT_EQ(FindingsOf(shared), "");

  ExpectFound("inode 1 has extended attributes 0 of 0", [](PlainImage& other) {
    Put<uint32_t>(other.inodes, other.At(kBlocksFile) + 52, 0);
  });
  ExpectFound("a name has the prefix 7",
              [](PlainImage& other) { AddAttribute(other, 7, "note", 4, TableBytes(4)); });
  ExpectFound("a value of 65537 bytes",
              [](PlainImage& other) { AddAttribute(other, 0, "note", 65'537, TableBytes(4)); });
  ExpectFound("a value's place has 4 bytes",
              [](PlainImage& other) { AddAttribute(other, 0x100, "note", 4, TableBytes(4)); });
  ExpectFound("xattr table: too many pairs", [](PlainImage& other) {
    AddAttribute(other, 0, "note", 4, TableBytes(4));
    Put<uint32_t>(other.xattr_entries, 8, 0xffffffff);
  });
  ExpectFound("xattr table: its pairs start at", [](PlainImage& other) {
    AddAttribute(other, 0, "note", 4, TableBytes(4));
    other.pairs_outside = true;
  });
}

TEST_F(DeepVerification, TheManifestCountsTheTree) {
  ExpectFound("manifest: contents says 9 files, the tree has 3",
              [](PlainImage& image) { image.manifest.contents.files = 9; });
  ExpectFound("contradicts section digests",
              [](PlainImage& image) { image.part.digests.push_back(Digest{}); });
}

TEST_F(DeepVerification, PathsThatTheAppendixNamesAreThere) {
  PlainImage image(bytes_);
  image.manifest.bound = {"d/link", "d/../a", "./d/t", "../outside", "e/399"};
  image.manifest.python = {.version = "3.11", .compiled = 0, .not_compiled = {"a"}};
  image.profile = "firn-profile 1\nlookup d/link\nmiss d/absent\nread a 0 100\n";
  const VerifyReport right = ReportOf(image);
  for (const VerifyFinding& finding : right.findings) ADD_FAILURE() << finding.message;
  EXPECT_TRUE(right.notes.empty());

  ExpectFound("d/link/below: manifest: bound names it, and the tree has it not",
              [](PlainImage& other) { other.manifest.bound = {"d/link/below"}; });
  ExpectFound("absent: manifest: not_compiled names it", [](PlainImage& other) {
    other.manifest.python = {.version = "3.11", .compiled = 0, .not_compiled = {"absent"}};
  });
  image.profile = "firn-profile 1\nlookup absent\nmiss a\nread a 0 100\n";
  const VerifyReport odd = ReportOf(image);
  EXPECT_TRUE(odd.ok());
  ASSERT_EQ(odd.notes.size(), 1u);
  EXPECT_EQ(odd.notes[0],
            "section profile: 2 of 3 lines are not about this tree, the first about absent");

  const auto named = [](int, const Appendix&) {
    return std::vector<NamedPaths>{{"section bills", 77, {"a", "absent"}}};
  };
  const VerifyReport others =
      Verify(MemoryFileOf(bytes_), "image",
             {.jobs = 1, .deep = true, .named_paths = named, .progress = {}});
  ASSERT_EQ(others.findings.size(), 1u);
  EXPECT_EQ(others.findings[0].path, "absent");
  EXPECT_EQ(others.findings[0].offset, 77u);
}

}  // namespace
}  // namespace firn
