#include "format/digest.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "format/extent_check.h"

namespace firn {
namespace {

// FIPS 180-4's example.
constexpr std::string_view kAbc =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(DigestTest, IsSha256HoweverTheBytesCome) {
  const std::string_view text = "abc";
  EXPECT_EQ(ToHex(Sha256Of(std::as_bytes(std::span(text)))), kAbc);
  Sha256 hash;
  for (int again = 0; again < 2; ++again) {
    hash.Update(std::as_bytes(std::span(text.substr(0, 1))));
    hash.Update(std::as_bytes(std::span(text.substr(1))));
    EXPECT_EQ(ToHex(hash.Finish()), kAbc);
  }
}

TEST(DigestTest, AnImageIdIsReadAsItIsPrinted) {
  const std::string_view text = "abc";
  const Digest id = Sha256Of(std::as_bytes(std::span(text)));
  const std::string printed = "sha256:" + std::string(kAbc);
  EXPECT_EQ(FormatImageId(id), printed);
  EXPECT_EQ(ParseImageId(printed), id);
  EXPECT_EQ(ParseImageId(kAbc), std::nullopt);
  EXPECT_EQ(ParseImageId(""), std::nullopt);
  EXPECT_EQ(ParseImageId("sha256:"), std::nullopt);
  EXPECT_EQ(ParseImageId(printed.substr(0, printed.size() - 2)), std::nullopt);
  EXPECT_EQ(ParseImageId(printed + "00"), std::nullopt);
  EXPECT_EQ(ParseImageId(printed.substr(0, printed.size() - 1) + "g"), std::nullopt);
}

TEST(ExtentCheckTest, HasTheNamesOfTheConfiguration) {
  EXPECT_EQ(ParseExtentCheck("proof"), ExtentCheck::kProof);
  EXPECT_EQ(ParseExtentCheck("checksum"), ExtentCheck::kChecksum);
  EXPECT_EQ(ParseExtentCheck("none"), std::nullopt);
  EXPECT_EQ(ToString(ExtentCheck::kProof), "proof");
}

}  // namespace
}  // namespace firn
