#include "format/trusted_keys.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "format/error.h"

namespace firn {
namespace {

class TrustedKeysTest : public testing::Test {
 protected:
  TrustedKeysTest() {
    std::string name = testing::TempDir() + "/trusted.XXXXXX";
    directory_ = mkdtemp(name.data());
  }
  ~TrustedKeysTest() override { std::filesystem::remove_all(directory_); }

  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ / name) << text;
  }

  // What is said of the directory; empty where it is taken.
  std::string Refusal(const std::string& directory) const {
    try {
      TrustedKeys::Load(directory);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInput);
      EXPECT_FALSE(error.path().empty());
      return error.message();
    }
    return {};
  }

  std::filesystem::path directory_;
  const PrivateKey alice_ = PrivateKey::Generate("alice");
  const PrivateKey bob_ = PrivateKey::Generate("bob");
};

TEST_F(TrustedKeysTest, AreThePublicKeysOfADirectory) {
  Write("alice.pub", alice_.named().ToText());
  Write("bob.pub", bob_.named().ToText());
  Write("README", "no key");
  const TrustedKeys keys = TrustedKeys::Load(directory_);
  EXPECT_EQ(keys.size(), 2u);
  EXPECT_FALSE(keys.empty());
  ASSERT_NE(keys.Find(bob_.named().key), nullptr);
  EXPECT_EQ(keys.Find(bob_.named().key)->named.name, "bob");
  EXPECT_EQ(keys.Find(bob_.named().key)->path, directory_ / "bob.pub");
  EXPECT_EQ(keys.Find(PrivateKey::Generate("eve").named().key), nullptr);
  EXPECT_TRUE(TrustedKeys().empty());
}

TEST_F(TrustedKeysTest, TheSignerIsATrustedOneWithARightSignatureOfThatImage) {
  Write("alice.pub", alice_.named().ToText());
  const TrustedKeys keys = TrustedKeys::Load(directory_);
  const Digest id = Sha256Of(std::as_bytes(std::span("image", 5)));
  SignatureArea area{.image_id = id, .signatures = {}};
  EXPECT_EQ(keys.SignerOf(area, id), nullptr);
  area.Add(bob_);
  EXPECT_EQ(keys.SignerOf(area, id), nullptr);
  area.Add(alice_);
  ASSERT_NE(keys.SignerOf(area, id), nullptr);
  EXPECT_EQ(keys.SignerOf(area, id)->named.key, alice_.named().key);
  EXPECT_EQ(keys.SignerOf(area, Digest{}), nullptr);
  area.signatures[1].signature = area.signatures[0].signature;
  EXPECT_EQ(keys.SignerOf(area, id), nullptr);
}

TEST_F(TrustedKeysTest, OfSeveralSignersTheFirstKeyCountsWhateverTheOrderOfSignatures) {
  Write("alice.pub", alice_.named().ToText());
  Write("bob.pub", bob_.named().ToText());
  const TrustedKeys keys = TrustedKeys::Load(directory_);
  SignatureArea one{.image_id = Digest{}, .signatures = {}};
  one.Add(alice_);
  one.Add(bob_);
  SignatureArea other{.image_id = Digest{}, .signatures = {}};
  other.Add(bob_);
  other.Add(alice_);
  const PublicKey first = std::min(alice_.named().key, bob_.named().key);
  EXPECT_EQ(keys.SignerOf(one, Digest{})->named.key, first);
  EXPECT_EQ(keys.SignerOf(other, Digest{})->named.key, first);
}

TEST_F(TrustedKeysTest, WhatIsNoDirectoryOfKeysIsRefused) {
  EXPECT_NE(Refusal(directory_ / "absent").find("cannot look at"), std::string::npos);
  EXPECT_NE(Refusal(directory_).find("expected public keys in files that end in .pub"),
            std::string::npos);
  Write("bad.pub", "no key");
  EXPECT_FALSE(Refusal(directory_).empty());
  EXPECT_NE(Refusal(directory_ / "bad.pub").find("cannot read the directory"), std::string::npos);
}

TEST_F(TrustedKeysTest, RootTrustsNoKeysThatOthersMayChange) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  Write("alice.pub", alice_.named().ToText());
  ASSERT_EQ(chmod((directory_ / "alice.pub").c_str(), 0664), 0);
  EXPECT_NE(Refusal(directory_).find("root trusts no keys"), std::string::npos);
  ASSERT_EQ(chmod((directory_ / "alice.pub").c_str(), 0644), 0);
  EXPECT_EQ(Refusal(directory_), "");
  ASSERT_EQ(chown((directory_ / "alice.pub").c_str(), 1, 1), 0);
  EXPECT_NE(Refusal(directory_).find("root trusts no keys"), std::string::npos);
  ASSERT_EQ(chown((directory_ / "alice.pub").c_str(), 0, 0), 0);
  ASSERT_EQ(chmod(directory_.c_str(), 0777), 0);
  EXPECT_NE(Refusal(directory_).find("root trusts no keys"), std::string::npos);
}

}  // namespace
}  // namespace firn
