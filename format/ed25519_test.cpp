#include "format/ed25519.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "format/hex.h"

namespace firn {
namespace {

std::vector<std::byte> Bytes(const std::string& hex) { return FromHex(hex).value(); }

template <typename Structure>
Structure Filled(const std::string& hex) {
  Structure filled;
  const std::vector<std::byte> bytes = Bytes(hex);
  EXPECT_EQ(bytes.size(), filled.bytes.size());
  std::ranges::copy(bytes, filled.bytes.begin());
  return filled;
}

struct Vector {
  const char* seed;
  const char* key;
  const char* message;
  const char* signature;
};

// RFC 8032, section 7.1: TEST 1, TEST 2, TEST 3.
const Vector kVectors[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
     "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
     "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
     "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
};

TEST(Ed25519Test, VectorsOfRfc8032) {
  for (const Vector& vector : kVectors) {
    const auto seed = Filled<Ed25519Seed>(vector.seed);
    const auto key = Filled<PublicKey>(vector.key);
    const auto signature = Filled<Ed25519Signature>(vector.signature);
    const std::vector<std::byte> message = Bytes(vector.message);
    EXPECT_EQ(PublicKeyOf(seed), key);
    EXPECT_EQ(SignMessage(seed, message), signature);
    EXPECT_TRUE(IsSignatureOf(key, message, signature));
  }
}

TEST(Ed25519Test, AnythingElseIsNoSignature) {
  const auto key = Filled<PublicKey>(kVectors[2].key);
  const auto signature = Filled<Ed25519Signature>(kVectors[2].signature);
  EXPECT_FALSE(IsSignatureOf(key, Bytes("af83"), signature));
  EXPECT_FALSE(IsSignatureOf(key, Bytes("af"), signature));
  EXPECT_FALSE(IsSignatureOf(Filled<PublicKey>(kVectors[1].key), Bytes("af82"), signature));
  for (size_t bit = 0; bit < 8 * signature.bytes.size(); ++bit) {
    Ed25519Signature flipped = signature;
    flipped.bytes[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_FALSE(IsSignatureOf(key, Bytes("af82"), flipped)) << bit;
  }
}

// S is below the group's order, so that nobody makes a second signature of one: RFC 8032, 5.1.7.
TEST(Ed25519Test, RefusesASecondFormOfASignature) {
  const auto key = Filled<PublicKey>(kVectors[2].key);
  auto signature = Filled<Ed25519Signature>(kVectors[2].signature);
  const std::vector<std::byte> order =
      Bytes("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
  unsigned carry = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    carry +=
        std::to_integer<unsigned>(signature.bytes[32 + i]) + std::to_integer<unsigned>(order[i]);
    signature.bytes[32 + i] = static_cast<std::byte>(carry);
    carry >>= 8;
  }
  EXPECT_FALSE(IsSignatureOf(key, Bytes("af82"), signature));
}

TEST(Ed25519Test, KeysHaveOneName) {
  const auto key = Filled<PublicKey>(kVectors[0].key);
  const std::string name = std::string("ed25519:") + kVectors[0].key;
  EXPECT_EQ(FormatKey(key), name);
  EXPECT_EQ(ParseKey(name), key);
  for (const std::string& text :
       {std::string(), name.substr(8), name + "0", name + "00", name.substr(0, name.size() - 1),
        "ED25519:" + name.substr(8), "ed25519:D" + name.substr(9), name + " "}) {
    EXPECT_FALSE(ParseKey(text)) << text;
  }
}

}  // namespace
}  // namespace firn
