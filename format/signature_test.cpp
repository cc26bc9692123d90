#include "format/signature.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "format/error.h"

namespace firn {
namespace {

Digest IdOf(const std::string& text) { return Sha256Of(std::as_bytes(std::span(text))); }

SignatureArea TwoSignatures() {
  SignatureArea area{.image_id = IdOf("image"), .signatures = {}};
  area.Add(PrivateKey::Generate("a"));
  area.Add(PrivateKey::Generate("b"));
  return area;
}

ErrorKind RefusalOf(const std::vector<std::byte>& bytes) {
  try {
    SignatureArea::Decode(bytes);
  } catch (const Error& error) {
    return error.kind();
  }
  return ErrorKind::kInternal;
}

TEST(SignatureTest, SignedAreBytesThatNothingElseSigns) {
  const Digest id = IdOf("image");
  const auto message = SignedMessage(id);
  const std::string head(reinterpret_cast<const char*>(message.data()), 24);
  EXPECT_EQ(head, std::string("firn image signature\1\0\0\0", 24));
  EXPECT_TRUE(std::equal(message.begin() + 24, message.end(), id.bytes.begin(), id.bytes.end()));
}

TEST(SignatureTest, BytesAndBack) {
  const SignatureArea area = TwoSignatures();
  const std::vector<std::byte> bytes = area.Encode();
  EXPECT_EQ(bytes.size(), 48u + 2 * 96 + 8);
  const SignatureArea decoded = SignatureArea::Decode(bytes);
  EXPECT_EQ(decoded.image_id, area.image_id);
  ASSERT_EQ(decoded.signatures.size(), 2u);
  for (const ImageSignature& signature : decoded.signatures) {
    EXPECT_TRUE(decoded.IsRight(signature));
    EXPECT_NE(area.Find(signature.key), nullptr);
  }
}

TEST(SignatureTest, AreOfOneImage) {
  SignatureArea area = TwoSignatures();
  area.image_id = IdOf("another image");
  for (const ImageSignature& signature : area.signatures) EXPECT_FALSE(area.IsRight(signature));
}

TEST(SignatureTest, OneOfAKey) {
  SignatureArea area = TwoSignatures();
  const PrivateKey key = PrivateKey::Generate("c");
  area.Add(key);
  area.Add(key);
  EXPECT_EQ(area.signatures.size(), 3u);
  while (area.signatures.size() < kMaxSignatures) area.Add(PrivateKey::Generate("d"));
  EXPECT_EQ(SignatureArea::Decode(area.Encode()).signatures.size(), kMaxSignatures);
  EXPECT_THROW(area.Add(PrivateKey::Generate("e")), Error);
}

TEST(SignatureTest, EveryFlippedBitAndEveryCutShows) {
  const std::vector<std::byte> bytes = TwoSignatures().Encode();
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::vector<std::byte> flipped = bytes;
    flipped[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_EQ(RefusalOf(flipped), ErrorKind::kDamaged) << bit;
  }
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_EQ(RefusalOf({bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(length)}),
              ErrorKind::kDamaged);
  }
}

TEST(SignatureTest, ANewerVersionIsNamedAsSuch) {
  std::vector<std::byte> bytes = TwoSignatures().Encode();
  bytes[8] = std::byte{2};
  const uint64_t checksum = Xxh3Of(ByteSpan(bytes).first(bytes.size() - 8));
  for (size_t i = 0; i < 8; ++i) {
    bytes[bytes.size() - 8 + i] = static_cast<std::byte>(checksum >> (8 * i));
  }
  EXPECT_EQ(RefusalOf(bytes), ErrorKind::kUnsupported);
}

}  // namespace
}  // namespace firn
