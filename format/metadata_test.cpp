#include "format/metadata.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "format/error.h"
#include "format/test_image.h"

namespace firn {
namespace {

// A foreign file of metadata blocks.
class MetadataTest : public testing::Test {
 protected:
  // As it is stored: header, content. Returns its offset.
  uint64_t AddBlock(ByteSpan content, bool compressed = false) {
    const uint64_t offset = bytes_.size();
    AppendLe<uint16_t>(bytes_, static_cast<uint16_t>(content.size() | (compressed ? 0 : 0x8000)));
    bytes_.insert(bytes_.end(), content.begin(), content.end());
    return offset;
  }
  static std::vector<std::byte> Counting(size_t length, unsigned first = 0) {
    std::vector<std::byte> bytes(length);
    for (size_t i = 0; i < length; ++i) bytes[i] = static_cast<std::byte>(first + i);
    return bytes;
  }

  // One at a time: the next one's source takes the place of the one before.
  MetadataContext Context() {
    file_ = MemoryFileOf(bytes_);
    source_ = std::make_unique<PlainSource>(file_.get(), bytes_.size());
    return {source_.get(), decompressor_.get(), &cache_, ++image_};
  }
  MetadataTable Table() { return MetadataTable(Context(), 0, bytes_.size()); }

  static Error DamageIn(const std::function<void()>& work) {
    try {
      work();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kDamaged) << error.what();
      return error;
    }
    return {ErrorKind::kInternal, "nothing was refused"};
  }
  static void ExpectDamage(const std::string& part, const std::function<void()>& work) {
    const std::string message = DamageIn(work).message();
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }

  std::vector<std::byte> bytes_;
  FileDescriptor file_;
  std::unique_ptr<PlainSource> source_;
  const std::unique_ptr<const Decompressor> decompressor_ =
      Decompressor::Create(Compression::kZstd, 4096);
  BlockCache cache_{size_t{1} << 20};
  uint32_t image_ = 0;
};

TEST_F(MetadataTest, ACursorReadsOverTheEndsOfBlocks) {
  AddBlock(Counting(5));
  const uint64_t second = AddBlock(Counting(10, 5));
  const MetadataTable table = Table();
  MetadataCursor cursor(table, {0, 3});
  EXPECT_EQ(cursor.ReadNumber<uint32_t>(), 0x06050403u);
  EXPECT_EQ(cursor.position().block, second);
  EXPECT_EQ(cursor.position().offset, 2u);
  cursor.Skip(6);
  EXPECT_TRUE(cursor.HasMore());
  EXPECT_EQ(cursor.ReadNumber<uint16_t>(), 0x0e0du);
  EXPECT_FALSE(cursor.HasMore());
  ExpectDamage("a reference leads", [&] { cursor.ReadNumber<uint8_t>(); });
  MetadataCursor at_end(table, {0, 5});
  EXPECT_TRUE(at_end.HasMore());
  EXPECT_EQ(at_end.position().block, second);
}

TEST_F(MetadataTest, PositionsThatDoNotExistAreDamage) {
  AddBlock(Counting(5));
  const MetadataTable table = Table();
  ExpectDamage("a reference leads 7 bytes into a table of 7", [&] {
    MetadataCursor(table, {bytes_.size(), 0});
  });
  ExpectDamage("a reference leads", [&] { MetadataCursor(table, {~uint64_t{0}, 0}); });
  ExpectDamage("behind the end of a block", [&] { MetadataCursor(table, {0, 6}); });
  ExpectDamage("a block stands behind its table", [&] { table.ReadBlock(bytes_.size() - 1); });
}

TEST_F(MetadataTest, BlocksOfImpossibleLengthAreDamage) {
  AddBlock({});
  const uint64_t too_long = bytes_.size();
  AppendLe<uint16_t>(bytes_, 0x8000 | 8193);
  bytes_.resize(bytes_.size() + 9000);
  const uint64_t beyond = bytes_.size();
  AppendLe<uint16_t>(bytes_, 0x8000 | 100);
  bytes_.resize(bytes_.size() + 99);
  const MetadataTable table = Table();
  ExpectDamage("an impossible length of 0", [&] { table.ReadBlock(0); });
  ExpectDamage("an impossible length of 8193", [&] { table.ReadBlock(too_long); });
  ExpectDamage("an impossible length of 100", [&] { table.ReadBlock(beyond); });
}

TEST_F(MetadataTest, WhatCannotBeDecodedIsDamageAtItsOffset) {
  AddBlock(Counting(3));
  const uint64_t nonsense = AddBlock(Counting(50), true);
  const MetadataTable table = Table();
  const Error error = DamageIn([&] { table.ReadBlock(nonsense); });
  EXPECT_EQ(error.offset(), nonsense);
  EXPECT_NE(error.message().find("cannot be decompressed"), std::string::npos);
}

TEST_F(MetadataTest, ABlockThatDecodesToNothingEndsAReader) {
  AddBlock(Counting(3));
  // A frame of zstd (RFC 8878) without content.
  const std::vector<std::byte> empty{std::byte{0x28}, std::byte{0xb5}, std::byte{0x2f},
                                     std::byte{0xfd}, std::byte{0x20}, std::byte{0},
                                     std::byte{1},    std::byte{0},    std::byte{0}};
  AddBlock(empty, true);
  AddBlock(Counting(3));
  const MetadataTable table = Table();
  MetadataCursor cursor(table, {0, 0});
  ExpectDamage("an empty block", [&] { cursor.Skip(4); });
}

TEST_F(MetadataTest, AnIndexedTableHasItsEntriesAndNoOthers) {
  const uint64_t block = AddBlock(Counting(16));
  const uint64_t start = bytes_.size();
  AppendLe<uint64_t>(bytes_, block);
  AppendLe<uint64_t>(bytes_, uint64_t{1} << 60);
  const MetadataContext context = Context();
  const IndexedTable table(context, start, 3, 8);
  std::array<std::byte, 8> entry;
  table.ReadEntry(1, entry);
  EXPECT_EQ(LoadLe<uint64_t>(entry.data()), 0x0f0e0d0c0b0a0908u);
  ExpectDamage("too short for entry 2", [&] { table.ReadEntry(2, entry); });
  ExpectDamage("entry 3 asked of a table of 3", [&] { table.ReadEntry(3, entry); });
  // Another table said to be at the same place.
  const IndexedTable longer(context, start, 2000, 8);
  ExpectDamage("a table is too short", [&] { longer.ReadEntry(1024, entry); });
  const IndexedTable none(context, kNoTable, 5, 8);
  EXPECT_EQ(none.count(), 0u);
  ExpectDamage("asked of a table of 0", [&] { none.ReadEntry(0, entry); });
  const IndexedTable cut(context, bytes_.size() - 4, 1, 8);
  ExpectDamage("behind the end of the file system", [&] { cut.ReadEntry(0, entry); });
  const IndexedTable astray(Context(), start, 2000, 8);
  ExpectDamage("a reference leads", [&] { astray.ReadEntry(1024, entry); });
}

TEST_F(MetadataTest, AFileThatGotShorterIsDamage) {
  AddBlock(Counting(100));
  const MetadataTable table = Table();
  std::atomic<uint64_t> counted{0};
  source_->CountIn(counted);
  ASSERT_EQ(ftruncate(file_.get(), 40), 0);
  const Error error = DamageIn([&] { table.ReadBlock(0); });
  EXPECT_EQ(error.offset(), 40u);
  EXPECT_NE(error.message().find("the file ends early"), std::string::npos);
  EXPECT_EQ(counted, 40u);
  EXPECT_EQ(source_->bytes_read(), 40u);
}

}  // namespace
}  // namespace firn
