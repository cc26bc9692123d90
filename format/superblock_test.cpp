#include "format/superblock.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "format/decompressor.h"
#include "format/error.h"
#include "format/little_endian.h"

namespace firn {
namespace {

constexpr uint64_t kPlausibleLength = 100'000;

// A superblock that is right, as the SquashFS part of a file of kPlausibleLength bytes.
std::vector<std::byte> RightSuperblock() {
  std::vector<std::byte> bytes(kSuperblockLength);
  const std::string_view magic = "hsqs";
  std::ranges::copy(std::as_bytes(std::span(magic)), bytes.begin());
  std::byte* at = bytes.data();
  StoreLe<uint32_t>(at + 4, 12);
  StoreLe<uint32_t>(at + 8, 1'700'000'000);
  StoreLe<uint32_t>(at + 12, 1u << 17);
  StoreLe<uint32_t>(at + 16, 3);
  StoreLe<uint16_t>(at + 20, 6);
  StoreLe<uint16_t>(at + 22, 17);
  StoreLe<uint16_t>(at + 24, 0x4c0);
  StoreLe<uint16_t>(at + 26, 1);
  StoreLe<uint16_t>(at + 28, 4);
  StoreLe<uint64_t>(at + 32, 0x1234);
  StoreLe<uint64_t>(at + 40, 90'000);
  StoreLe<uint64_t>(at + 48, 80'000);
  StoreLe<uint64_t>(at + 56, kNoTable);
  StoreLe<uint64_t>(at + 64, 50'000);
  StoreLe<uint64_t>(at + 72, 60'000);
  StoreLe<uint64_t>(at + 80, 70'000);
  StoreLe<uint64_t>(at + 88, 75'000);
  return bytes;
}

struct Refused {
  ErrorKind kind = ErrorKind::kInternal;
  uint64_t offset = 0;
  std::string message;
};

Refused SuperblockRefusal(const std::vector<std::byte>& bytes,
                          uint64_t file_length = kPlausibleLength) {
  try {
    Superblock::Decode(bytes, file_length);
  } catch (const Error& error) {
    return {error.kind(), error.offset().value_or(0), error.message()};
  }
  return {};
}

template <typename Number>
void ExpectRefused(uint64_t offset, Number value, uint64_t named, const std::string& part,
                   ErrorKind kind = ErrorKind::kDamaged) {
  std::vector<std::byte> bytes = RightSuperblock();
  StoreLe<Number>(bytes.data() + offset, value);
  const Refused refused = SuperblockRefusal(bytes);
  EXPECT_EQ(refused.kind, kind) << offset << " " << value;
  EXPECT_EQ(refused.offset, named) << refused.message;
  EXPECT_NE(refused.message.find(part), std::string::npos) << refused.message;
}

TEST(SuperblockTest, HasItsFields) {
  const Superblock super = Superblock::Decode(RightSuperblock(), kPlausibleLength);
  EXPECT_EQ(super.inode_count, 12u);
  EXPECT_EQ(super.mtime, 1'700'000'000u);
  EXPECT_EQ(super.block_size, 1u << 17);
  EXPECT_EQ(super.fragment_count, 3u);
  EXPECT_EQ(super.compression, Compression::kZstd);
  EXPECT_EQ(super.flags, 0x4c0);
  EXPECT_EQ(ToInt(super.root), 0x1234u);
  EXPECT_EQ(super.bytes_used, 90'000u);
  EXPECT_EQ(super.xattr_table, kNoTable);
  EXPECT_EQ(super.fragment_table, 70'000u);
}

TEST(SuperblockTest, WhatIsImpossibleIsRefusedAtItsPlace) {
  ExpectRefused<uint16_t>(28, 3, 28, "SquashFS 3.0", ErrorKind::kUnsupported);
  ExpectRefused<uint16_t>(30, 1, 28, "SquashFS 4.1", ErrorKind::kUnsupported);
  for (const uint32_t size : {0u, 1u, 2048u, 5000u, 1u << 16, 1u << 21, ~0u}) {
    ExpectRefused<uint32_t>(12, size, 12, "block size");
  }
  ExpectRefused<uint16_t>(22, 16, 12, "block size");
  ExpectRefused<uint64_t>(40, kPlausibleLength + 1, 40, "cut short");
  ExpectRefused<uint16_t>(26, 0, 26, "no ids");
}

TEST(SuperblockTest, TablesLieInTheFileSystem) {
  for (const uint64_t field : {48, 64, 72, 80, 88}) {
    ExpectRefused<uint64_t>(field, 95, field, "outside the file system");
    ExpectRefused<uint64_t>(field, 90'000, field, "outside the file system");
    ExpectRefused<uint64_t>(field, kNoTable - 1, field, "outside the file system");
  }
  for (const uint64_t field : {48, 64, 72}) {
    ExpectRefused<uint64_t>(field, kNoTable, 48, "a table that must be there is missing");
  }
  ExpectRefused<uint64_t>(72, 50'000, 72, "does not follow the inode table");
}

// The same with tables that end where the file system does: what they can hold is known.
std::vector<std::byte> TightSuperblock() {
  std::vector<std::byte> bytes = RightSuperblock();
  std::byte* at = bytes.data();
  StoreLe<uint64_t>(at + 40, 60'000);
  StoreLe<uint64_t>(at + 48, 59'992);
  StoreLe<uint64_t>(at + 72, 55'000);
  StoreLe<uint64_t>(at + 80, 58'000);
  StoreLe<uint64_t>(at + 88, 59'000);
  return bytes;
}

template <typename Number>
std::string RefusalOfTightWith(size_t at, Number number) {
  std::vector<std::byte> bytes = TightSuperblock();
  StoreLe<Number>(bytes.data() + at, number);
  return SuperblockRefusal(bytes).message;
}

TEST(SuperblockTest, RefusesMoreThanTheTablesCanHold) {
  // From where the list starts to the end, there is room for 250 blocks of fragments, 125 of inodes
  // and one of ids.
  EXPECT_EQ(RefusalOfTightWith<uint32_t>(16, 250 * 512), "");
  EXPECT_NE(RefusalOfTightWith<uint32_t>(16, 250 * 512 + 1), "");
  EXPECT_NE(RefusalOfTightWith<uint32_t>(16, UINT32_MAX), "");
  EXPECT_EQ(RefusalOfTightWith<uint32_t>(4, 125 * 1024), "");
  EXPECT_NE(RefusalOfTightWith<uint32_t>(4, 125 * 1024 + 1), "");
  EXPECT_NE(RefusalOfTightWith<uint32_t>(4, UINT32_MAX), "");
  EXPECT_EQ(RefusalOfTightWith<uint16_t>(26, 2048), "");
  EXPECT_NE(RefusalOfTightWith<uint16_t>(26, 2049), "");
}

TEST(SuperblockTest, WithoutExportTableInodesAreBoundByTheirOwn) {
  std::vector<std::byte> bytes = TightSuperblock();
  StoreLe<uint64_t>(bytes.data() + 88, kNoTable);
  const auto most = static_cast<uint32_t>(MostDecodedMetadata(5'000) / 20);
  StoreLe<uint32_t>(bytes.data() + 4, most);
  EXPECT_EQ(Superblock::Decode(bytes, kPlausibleLength).inode_count, most);
  StoreLe<uint32_t>(bytes.data() + 4, most + 1);
  EXPECT_THROW(Superblock::Decode(bytes, kPlausibleLength), Error);
}

TEST(SuperblockTest, OtherFilesAreNamedAsWhatTheyAre) {
  const auto described = [](std::string_view text) {
    std::vector<std::byte> bytes(kSuperblockLength);
    std::ranges::copy(std::as_bytes(std::span(text)), bytes.begin());
    return SuperblockRefusal(bytes).message;
  };
  EXPECT_NE(described("\x7f"
                      "ELF")
                .find("an ELF file"),
            std::string::npos);
  EXPECT_NE(described("#!/bin/sh").find("a script"), std::string::npos);
  EXPECT_NE(described("PK\x03\x04").find("a zip archive"), std::string::npos);
  EXPECT_NE(described("sqsh").find("big-endian"), std::string::npos);
  EXPECT_NE(described("text").find("something else"), std::string::npos);
  EXPECT_NE(SuperblockRefusal({}, 0).message.find("is empty"), std::string::npos);
  const std::vector<std::byte> right = RightSuperblock();
  EXPECT_EQ(SuperblockRefusal({right.begin(), right.begin() + 90}, 90).offset, 90u);
}

TEST(SuperblockTest, CompressionsHaveNames) {
  EXPECT_EQ(CompressionName(Compression::kGzip), "gzip");
  EXPECT_EQ(CompressionName(Compression::kLzma), "lzma");
  EXPECT_EQ(CompressionName(Compression::kLzo), "lzo");
  EXPECT_EQ(CompressionName(Compression::kXz), "xz");
  EXPECT_EQ(CompressionName(Compression::kLz4), "lz4");
  EXPECT_EQ(CompressionName(Compression::kZstd), "zstd");
  EXPECT_EQ(CompressionName(Compression{77}), "compression 77");
}

TEST(DecompressorTest, OthersAreRefusedByName) {
  for (const Compression compression : {Compression::kLzma, Compression::kLzo, Compression{0}}) {
    try {
      Decompressor::Create(compression, 4096);
      ADD_FAILURE() << CompressionName(compression);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
      EXPECT_NE(error.message().find(CompressionName(compression)), std::string::npos);
    }
  }
}

TEST(DecompressorTest, BytesThatAreNoStreamOrGiveTooMuchAreDamage) {
  const std::vector<std::byte> nonsense(100, std::byte{0x5a});
  for (const Compression compression : {Compression::kGzip, Compression::kXz, Compression::kZstd}) {
    const auto decompressor = Decompressor::Create(compression, 4096);
    std::vector<std::byte> out(4096);
    for (int again = 0; again < 2; ++again) {
      try {
        decompressor->Decode(nonsense, out);
        ADD_FAILURE() << CompressionName(compression);
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kDamaged);
        EXPECT_NE(error.message().find("cannot be decompressed"), std::string::npos);
      }
    }
  }
}

}  // namespace
}  // namespace firn
