#include "mountd/trust_policy.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "format/error.h"
#include "format/key.h"

namespace firn {
namespace {

SignatureArea AreaOf(const std::string& image) {
  SignatureArea area{.image_id = Sha256Of(std::as_bytes(std::span(image))), .signatures = {}};
  area.Add(PrivateKey::Generate("a"));
  return area;
}

std::string RefusalOf(const TrustSettings& trust, const ShownFile& file,
                      const ShownSignatures& signatures = {}) {
  try {
    RequireTrust(trust, file, signatures, std::nullopt);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUntrusted);
    EXPECT_EQ(error.path(), file.path);
    return error.message();
  }
  return {};
}

TEST(TrustPolicyTest, OwnerTakesRootsAndTheUsersOwn) {
  const TrustSettings trust{.policy = ImagePolicy::kOwner, .directory = {}, .keys = {}};
  const auto refusal = [&](uid_t owner, mode_t mode, uid_t user) {
    return RefusalOf(trust, {.path = "i", .owner = owner, .mode = mode, .user = user});
  };
  EXPECT_EQ(refusal(0, 0644, 1000), "");
  EXPECT_EQ(refusal(0, 0644, 0), "");
  EXPECT_EQ(refusal(1000, 0664, 1000), "");
  EXPECT_EQ(refusal(1001, 0644, 1000),
            "policy owner takes images of root and of uid 1000, and this one belongs to uid 1001");
  EXPECT_NE(refusal(1000, 0644, 0), "");
  for (const auto& [owner, mode] : {std::pair{0u, 0664u}, {0u, 0646u}, {1000u, 0646u}}) {
    EXPECT_EQ(refusal(owner, mode, 1000), "policy owner takes no image that others may write to");
  }
}

TEST(TrustPolicyTest, SignedSaysWhatItFound) {
  const TrustSettings trust{.policy = ImagePolicy::kSigned, .directory = "/keys", .keys = {}};
  const ShownFile file{.path = "i", .owner = 0, .mode = 0644, .user = 0};
  EXPECT_TRUE(RefusalOf(trust, file).ends_with("has signed; it has no signature"));
  const SignatureArea area = AreaOf("image");
  EXPECT_TRUE(RefusalOf(trust, file, {.areas = {area}, .damage = {}})
                  .ends_with("it is signed by " + FormatKey(area.signatures.front().key)));
  EXPECT_TRUE(
      RefusalOf(trust, file, {.areas = {}, .damage = "gone"}).ends_with("has signed; gone"));
  RequireTrust(trust, file, {}, TrustedSigner{});
}

TEST(TrustPolicyTest, AnyTakesAll) {
  EXPECT_EQ(RefusalOf({}, {.path = "i", .owner = 1, .mode = 0666, .user = 2}), "");
}

TEST(TrustPolicyTest, SignaturesGoThroughMessages) {
  const ShownSignatures shown{.areas = {AreaOf("a"), AreaOf("b")}, .damage = "d"};
  nlohmann::json message;
  AddToMessage(shown, message);
  const ShownSignatures taken = SignaturesFrom(nlohmann::json::parse(message.dump()));
  EXPECT_EQ(taken.damage, "d");
  ASSERT_EQ(taken.areas.size(), 2u);
  EXPECT_EQ(taken.areas[1].Encode(), shown.areas[1].Encode());
  EXPECT_TRUE(SignaturesFrom(nlohmann::json::object()).areas.empty());
}

TEST(TrustPolicyTest, MessagesMayBeAnything) {
  const std::string area = [] {
    nlohmann::json message;
    AddToMessage({.areas = {AreaOf("a")}, .damage = {}}, message);
    return message["signatures"][0].get<std::string>();
  }();
  for (const nlohmann::json& signatures :
       {nlohmann::json{area, area, area}, nlohmann::json{"zz"}, nlohmann::json{""},
        nlohmann::json{area.substr(2)}, nlohmann::json{1}, nlohmann::json(7)}) {
    EXPECT_ANY_THROW(SignaturesFrom({{"signatures", signatures}})) << signatures;
  }
}

}  // namespace
}  // namespace firn
