#include "format/superblock.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "format/error.h"
#include "format/little_endian.h"

namespace firn {
namespace {

constexpr uint64_t kFileLength = 100'000;

// A superblock as a small image has it.
std::array<std::byte, kSuperblockLength> GoodSuperblock() {
  std::array<std::byte, kSuperblockLength> bytes{};
  StoreLe<uint32_t>(bytes.data(), 0x73717368);
  StoreLe<uint32_t>(bytes.data() + 4, 100);        // inodes
  StoreLe<uint32_t>(bytes.data() + 12, 1u << 17);  // block size
  StoreLe<uint32_t>(bytes.data() + 16, 3);         // fragments
  StoreLe<uint16_t>(bytes.data() + 20, 6);
  StoreLe<uint16_t>(bytes.data() + 22, 17);
  StoreLe<uint16_t>(bytes.data() + 26, 1);  // ids
  StoreLe<uint16_t>(bytes.data() + 28, 4);
  StoreLe<uint64_t>(bytes.data() + 40, 60'000);  // bytes used
  StoreLe<uint64_t>(bytes.data() + 48, 59'992);  // id table
  StoreLe<uint64_t>(bytes.data() + 56, kNoTable);
  StoreLe<uint64_t>(bytes.data() + 64, 50'000);  // inode table
  StoreLe<uint64_t>(bytes.data() + 72, 55'000);  // directory table
  StoreLe<uint64_t>(bytes.data() + 80, 58'000);  // fragment table
  StoreLe<uint64_t>(bytes.data() + 88, 59'000);  // export table
  return bytes;
}

// Why it is refused with that number there; empty where it is not.
template <typename Number>
std::string RefusalWith(size_t at, Number number) {
  auto bytes = GoodSuperblock();
  StoreLe<Number>(bytes.data() + at, number);
  try {
    Superblock::Decode(bytes, kFileLength);
    return {};
  } catch (const Error& error) {
    return error.message();
  }
}

TEST(Superblock, IsReadAsItStands) {
  const Superblock super = Superblock::Decode(GoodSuperblock(), kFileLength);
  EXPECT_EQ(super.inode_count, 100u);
  EXPECT_EQ(super.directory_table, 55'000u);
}

TEST(Superblock, RefusesTablesOutsideTheFile) {
  for (const size_t field : {48, 64, 72, 80, 88}) {
    for (const uint64_t offset : {uint64_t{0}, uint64_t{95}, uint64_t{60'000}, UINT64_MAX - 1}) {
      EXPECT_NE(RefusalWith<uint64_t>(field, offset), "") << field << " at " << offset;
    }
  }
  EXPECT_NE(RefusalWith<uint64_t>(40, kFileLength + 1), "");
  EXPECT_NE(RefusalWith<uint64_t>(64, 55'000), "");
}

TEST(Superblock, RefusesMoreThanTheTablesCanHold) {
  // From where the list starts to the end, there is room for 250 blocks of fragments, 125 of inodes
  // and one of ids.
  EXPECT_EQ(RefusalWith<uint32_t>(16, 250 * 512), "");
  EXPECT_NE(RefusalWith<uint32_t>(16, 250 * 512 + 1), "");
  EXPECT_NE(RefusalWith<uint32_t>(16, UINT32_MAX), "");
  EXPECT_EQ(RefusalWith<uint32_t>(4, 125 * 1024), "");
  EXPECT_NE(RefusalWith<uint32_t>(4, 125 * 1024 + 1), "");
  EXPECT_NE(RefusalWith<uint32_t>(4, UINT32_MAX), "");
  EXPECT_EQ(RefusalWith<uint16_t>(26, 2048), "");
  EXPECT_NE(RefusalWith<uint16_t>(26, 2049), "");
}

TEST(Superblock, WithoutExportTableInodesAreBoundByTheirOwn) {
  auto bytes = GoodSuperblock();
  StoreLe<uint64_t>(bytes.data() + 88, kNoTable);
  const auto most = static_cast<uint32_t>(MostDecodedMetadata(5'000) / 20);
  StoreLe<uint32_t>(bytes.data() + 4, most);
  EXPECT_EQ(Superblock::Decode(bytes, kFileLength).inode_count, most);
  StoreLe<uint32_t>(bytes.data() + 4, most + 1);
  EXPECT_THROW(Superblock::Decode(bytes, kFileLength), Error);
}

}  // namespace
}  // namespace firn
