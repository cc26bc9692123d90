#include "format/layout.h"

#include <gtest/gtest.h>

#include "format/error.h"
#include "format/little_endian.h"

namespace firn {
namespace {

Footer SampleFooter() {
  Footer footer;
  footer.core_offset = 4096;
  footer.core_length = 88;
  footer.image_id = Sha256Of({});
  footer.file_length = 123456;
  return footer;
}

ErrorKind KindOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.kind();
  }
  return ErrorKind::kInternal;
}

TEST(Mark, IsTakenAsWritten) {
  const auto mark = EncodeMark();
  EXPECT_TRUE(HasMark(mark));
  EXPECT_NO_THROW(CheckMark(mark));
}

TEST(Mark, EveryFlippedBitIsFound) {
  for (size_t bit = 0; bit < kMarkLength * 8; ++bit) {
    auto mark = EncodeMark();
    mark[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_THROW(CheckMark(mark), Error) << "bit " << bit;
  }
}

TEST(Mark, ANewerVersionIsNamedAsSuch) {
  auto mark = EncodeMark();
  StoreLe<uint32_t>(mark.data() + 8, kFormatVersion + 1);
  EXPECT_EQ(KindOf([&] { CheckMark(mark); }), ErrorKind::kUnsupported);
}

TEST(Footer, IsReadAsWritten) {
  const Footer footer = SampleFooter();
  const std::optional<Footer> read = Footer::Decode(footer.Encode());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->core_offset, footer.core_offset);
  EXPECT_EQ(read->core_length, footer.core_length);
  EXPECT_EQ(read->signatures_length, 0u);
  EXPECT_EQ(read->image_id, footer.image_id);
  EXPECT_EQ(read->file_length, footer.file_length);
}

TEST(Footer, EveryFlippedBitIsFoundOrHidesIt) {
  for (size_t bit = 0; bit < kFooterLength * 8; ++bit) {
    auto bytes = SampleFooter().Encode();
    bytes[bit / 8] ^= std::byte{1} << (bit % 8);
    if (bit < 64) {
      EXPECT_FALSE(Footer::Decode(bytes)) << "bit " << bit;
    } else {
      EXPECT_THROW(Footer::Decode(bytes), Error) << "bit " << bit;
    }
  }
}

TEST(Footer, ANewerVersionIsNamedAsSuchWhateverElseItHolds) {
  auto bytes = SampleFooter().Encode();
  StoreLe<uint32_t>(bytes.data() + 8, kFormatVersion + 1);
  EXPECT_EQ(KindOf([&] { Footer::Decode(bytes); }), ErrorKind::kUnsupported);
}

TEST(CoreTable, IsReadAsWritten) {
  CoreTable table;
  table.squashfs_length = 77777;
  table.sections = {{"manifest", 81920, 100, Sha256Of({})},
                    {"sixteen-letters!", 82024, 5, Sha256Of(EncodeMark())}};
  const CoreTable read = CoreTable::Decode(table.Encode());
  EXPECT_EQ(read.squashfs_length, 77777u);
  ASSERT_EQ(read.sections.size(), 2u);
  EXPECT_EQ(read.sections[1].name, "sixteen-letters!");
  EXPECT_EQ(read.sections[1].offset, 82024u);
  EXPECT_EQ(read.sections[1].length, 5u);
  EXPECT_EQ(read.sections[1].digest, table.sections[1].digest);
  EXPECT_NE(read.Find("manifest"), nullptr);
  EXPECT_EQ(read.Find("manifes"), nullptr);
}

TEST(CoreTable, RefusesWrongLengthsAndNamesTwice) {
  CoreTable table;
  table.sections = {{"a", 8, 1, {}}, {"b", 16, 1, {}}};
  std::vector<std::byte> bytes = table.Encode();
  EXPECT_THROW(CoreTable::Decode(ByteSpan(bytes).first(bytes.size() - 1)), Error);
  EXPECT_THROW(CoreTable::Decode(ByteSpan(bytes).first(10)), Error);
  StoreLe<uint32_t>(bytes.data() + 12, 0xffffffff);
  EXPECT_THROW(CoreTable::Decode(bytes), Error);
  table.sections[1].name = "a";
  EXPECT_THROW(CoreTable::Decode(table.Encode()), Error);
  table.sections[1].name = "";
  EXPECT_THROW(CoreTable::Decode(table.Encode()), Error);
}

TEST(Extent, IsReadAsWritten) {
  const Extent extent{ImageOffset{1u << 20}, 4711, 0x0123456789abcdef, Sha256Of({})};
  std::vector<std::byte> bytes;
  extent.AppendTo(bytes);
  ASSERT_EQ(bytes.size(), Extent::kEncodedLength);
  const Extent read = Extent::Decode(bytes);
  EXPECT_EQ(read.offset, extent.offset);
  EXPECT_EQ(read.length, extent.length);
  EXPECT_EQ(read.xxh3, extent.xxh3);
  EXPECT_EQ(read.sha256, extent.sha256);
}

}  // namespace
}  // namespace firn
