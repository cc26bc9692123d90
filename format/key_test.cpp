#include "format/key.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "format/error.h"

namespace firn {
namespace {

constexpr char kSecret[] = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
constexpr char kPublic[] =
    "ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

std::string KeyText() {
  return std::string("firn-private-key 1\nname the test\npublic ") + kPublic + "\nsecret " +
         kSecret + "\n";
}

std::string NoPassphrase() {
  ADD_FAILURE() << "nobody should be asked";
  return {};
}

template <typename Work>
std::string RefusalOfKey(Work&& work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInput);
    return error.what();
  }
  return "taken";
}

class KeyFileTest : public testing::Test {
 protected:
  KeyFileTest() {
    char name[] = "/tmp/firn-key-XXXXXX";
    directory_ = mkdtemp(name);
    path_ = directory_ + "/key";
  }
  ~KeyFileTest() override { std::filesystem::remove_all(directory_); }

  std::string directory_;
  std::string path_;
};

TEST(KeyTest, TextAndBack) {
  const PrivateKey key = PrivateKey::Parse(KeyText(), "k", NoPassphrase);
  EXPECT_EQ(key.ToText({}), KeyText());
  EXPECT_EQ(key.named().name, "the test");
  EXPECT_EQ(FormatKey(key.named().key), kPublic);
  const NamedKey named = NamedKey::Parse(key.named().ToText(), "p");
  EXPECT_EQ(named.name, "the test");
  EXPECT_EQ(named.key, key.named().key);
  EXPECT_EQ(
      NamedKey::Parse("firn-public-key 1\n# mine\n\nname a\npublic " + std::string(kPublic), "p")
          .name,
      "a");
}

TEST(KeyTest, KeysAreNewEachTime) {
  EXPECT_NE(PrivateKey::Generate("a").named().key, PrivateKey::Generate("a").named().key);
}

TEST(KeyTest, PassphraseOpens) {
  const PrivateKey key = PrivateKey::Parse(KeyText(), "k", NoPassphrase);
  const std::string text = key.ToText("correct horse");
  EXPECT_EQ(text.find(kSecret), std::string::npos);
  EXPECT_NE(text, key.ToText("correct horse"));  // another salt
  EXPECT_EQ(PrivateKey::Parse(text, "k", [] { return "correct horse"; }).ToText({}), KeyText());
  const std::string refusal =
      RefusalOfKey([&] { PrivateKey::Parse(text, "k", [] { return "battery staple"; }); });
  EXPECT_NE(refusal.find("k: the passphrase does not open this key"), std::string::npos);
}

TEST(KeyTest, NamesTheLineThatIsWrongAndNoSecret) {
  const auto refusal = [](std::string text) {
    return RefusalOfKey([&] { PrivateKey::Parse(text, "k", NoPassphrase); });
  };
  const std::string head = "firn-private-key 1\nname a\n";
  const std::string with_public = head + "public " + kPublic + "\n";
  for (const std::string& text :
       {head + "public ed25519:00\n", head + "public\n", head, std::string("firn-private-key 1\n"),
        with_public, with_public + "secret 00\n", with_public + "secret " + kSecret + "00\n",
        with_public + "secret " + kSecret + "\nmore\n", with_public + "scrypt 131072 8 1\n",
        with_public + "scrypt 0 8 1 " + std::string(32, '0'),
        with_public + "scrypt 3 8 1 " + std::string(32, '0'),
        with_public + "scrypt 1048576 64 16 " + std::string(32, '0'),
        with_public + "scrypt 99999999999999999999 8 1 " + std::string(32, '0'),
        with_public + "scrypt 2 1 1 " + std::string(32, '0') + "\nsealed 00 00\n"}) {
    const std::string message = refusal(text);
    EXPECT_NE(message.find(": expected"), std::string::npos) << text << message;
    EXPECT_EQ(message.find(kSecret), std::string::npos);
  }
  EXPECT_NE(refusal("firn-public-key 1\n").find("not the one that ends in .pub"),
            std::string::npos);
  std::string other = KeyText();
  other[other.find("secret ") + 7] = '0';
  EXPECT_NE(refusal(other).find("the secret is not that of the public key"), std::string::npos);
}

TEST(KeyTest, NamesAreOneLine) {
  EXPECT_TRUE(IsKeyName("Alice <alice@example.org>"));
  for (const char* name : {"", " a", "a ", "a\nb", "\x1b[2J", "\xc3\xa9"}) {
    EXPECT_FALSE(IsKeyName(name)) << name;
  }
  EXPECT_FALSE(IsKeyName(std::string(129, 'a')));
}

TEST_F(KeyFileTest, IsForItsOwnerAlone) {
  const mode_t mask = umask(0);
  WriteKeyPair(PrivateKey::Parse(KeyText(), "k", NoPassphrase), {}, path_);
  umask(mask);
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  ASSERT_EQ(stat((path_ + ".pub").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0644u);
  EXPECT_EQ(PrivateKey::Read(path_, NoPassphrase).ToText({}), KeyText());
  EXPECT_EQ(FormatKey(NamedKey::Read(path_ + ".pub").key), kPublic);
  for (const mode_t mode : {0640u, 0604u, 0610u, 0602u}) {
    chmod(path_.c_str(), mode);
    EXPECT_NE(
        RefusalOfKey([&] { PrivateKey::Read(path_, NoPassphrase); }).find("others may use too"),
        std::string::npos);
  }
}

TEST_F(KeyFileTest, NeverReplacesAnother) {
  const PrivateKey key = PrivateKey::Generate("a");
  std::ofstream(path_ + ".pub") << "precious";
  EXPECT_THROW(WriteKeyPair(key, {}, path_), Error);
  EXPECT_FALSE(std::filesystem::exists(path_));
  std::filesystem::remove(path_ + ".pub");
  std::ofstream(path_) << "precious";
  EXPECT_THROW(WriteKeyPair(key, {}, path_), Error);
  EXPECT_FALSE(std::filesystem::exists(path_ + ".pub"));
  std::ifstream file(path_);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "precious");
}

}  // namespace
}  // namespace firn
