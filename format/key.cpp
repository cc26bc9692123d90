#include "format/key.h"

#include <algorithm>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "format/error.h"
#include "format/hex.h"
#include "format/secret_box.h"

namespace firn {
namespace {

constexpr std::string_view kPublicHead = "firn-public-key 1";
constexpr std::string_view kPrivateHead = "firn-private-key 1";
constexpr size_t kLongestKeyName = 128;

// The lines of a key's text in turn, comments and empty ones left out.
class KeyLines {
 public:
  KeyLines(std::string_view text, const std::string& path) : text_(text), path_(path) {}

  // The rest of the next line, which must begin with `keyword`.
  std::string_view Take(std::string_view keyword) {
    const std::string_view line = Next();
    if (!line.starts_with(keyword) || line.size() <= keyword.size() ||
        line[keyword.size()] != ' ') {
      throw Wrong("expected '" + std::string(keyword) + " …'");
    }
    return line.substr(keyword.size() + 1);
  }

  void TakeHead(std::string_view head, const std::string& remedy) {
    if (Next() != head) {
      throw Error(ErrorKind::kInput, "expected a key that begins with '" + std::string(head) + "'",
                  remedy)
          .WithPath(path_);
    }
  }

  void TakeEnd() {
    if (!Next().empty()) throw Wrong("expected the end of the key");
  }

  bool NextStartsWith(std::string_view keyword) const {
    KeyLines ahead = *this;
    return ahead.Next().starts_with(keyword);
  }

  // What stands there is not repeated: it may be a secret.
  Error Wrong(const std::string& expected) const {
    return Error(ErrorKind::kInput, "line " + std::to_string(number_) + ": " + expected,
                 "firn-key(5) has the text of keys; 'firn keygen' makes one.")
        .WithPath(path_);
  }

 private:
  // Empty at the end.
  std::string_view Next() {
    while (!text_.empty()) {
      const size_t end = std::min(text_.find('\n'), text_.size());
      const std::string_view line = text_.substr(0, end);
      text_.remove_prefix(std::min(end + 1, text_.size()));
      ++number_;
      if (!line.empty() && line.front() != '#') return line;
    }
    return {};
  }

  std::string_view text_;
  const std::string path_;
  size_t number_ = 0;
};

std::string TakeName(KeyLines& lines) {
  const std::string name(lines.Take("name"));
  if (!IsKeyName(name)) throw lines.Wrong("expected a name of 1 to 128 printable bytes");
  return name;
}

PublicKey TakePublic(KeyLines& lines) {
  const std::optional<PublicKey> key = ParseKey(lines.Take("public"));
  if (!key) throw lines.Wrong("expected 'public ed25519:' and 64 hexadecimal digits");
  return *key;
}

template <size_t length>
bool TakeHex(std::string_view text, std::array<std::byte, length>& target) {
  const auto bytes = FromHex(text);
  if (!bytes || bytes->size() != length) return false;
  std::ranges::copy(*bytes, target.begin());
  return true;
}

std::string TextOf(const SecretBox& box) {
  return "scrypt " + std::to_string(box.scrypt_n) + " " + std::to_string(box.scrypt_r) + " " +
         std::to_string(box.scrypt_p) + " " + ToHex(ByteSpan(box.salt)) + "\nsealed " +
         ToHex(ByteSpan(box.nonce)) + " " + ToHex(ByteSpan(box.sealed)) + "\n";
}

SecretBox TakeBox(KeyLines& lines) {
  SecretBox box;
  std::istringstream costs{std::string(lines.Take("scrypt"))};
  std::string salt;
  if (!(costs >> box.scrypt_n >> box.scrypt_r >> box.scrypt_p >> salt) ||
      !TakeHex(salt, box.salt) || !box.HasSaneCost()) {
    throw lines.Wrong("expected 'scrypt N R P SALT' of a cost that can be borne");
  }
  const std::string_view sealed = lines.Take("sealed");
  const size_t space = std::min(sealed.find(' '), sealed.size());
  if (!TakeHex(sealed.substr(0, space), box.nonce) || space == sealed.size() ||
      !TakeHex(sealed.substr(space + 1), box.sealed)) {
    throw lines.Wrong("expected 'sealed NONCE BYTES' in hexadecimal digits");
  }
  return box;
}

Ed25519Seed TakeSeed(KeyLines& lines, const PublicKey& key, const std::string& path,
                     const PrivateKey::AskPassphrase& ask) {
  Ed25519Seed seed;
  if (!lines.NextStartsWith("scrypt ")) {
    if (!TakeHex(lines.Take("secret"), seed.bytes)) {
      throw lines.Wrong("expected 'secret' and 64 hexadecimal digits");
    }
    return seed;
  }
  const SecretBox box = TakeBox(lines);
  const std::optional<Ed25519Seed> opened = Unseal(box, ask(), FormatKey(key));
  if (!opened) {
    throw Error(ErrorKind::kInput, "the passphrase does not open this key",
                "Give the one that the key was made with.")
        .WithPath(path);
  }
  return *opened;
}

}  // namespace

bool IsKeyName(std::string_view name) {
  return !name.empty() && name.size() <= kLongestKeyName && name.front() != ' ' &&
         name.back() != ' ' && std::ranges::all_of(name, [](char c) {
           return static_cast<unsigned char>(c) >= 0x20 && static_cast<unsigned char>(c) < 0x7f;
         });
}

std::string NamedKey::ToText() const {
  return std::string(kPublicHead) + "\nname " + name + "\npublic " + FormatKey(key) + "\n";
}

NamedKey NamedKey::Parse(std::string_view text, const std::string& path) {
  KeyLines lines(text, path);
  lines.TakeHead(kPublicHead,
                 "'firn keygen' writes the public key beside the private one, with "
                 "the ending .pub.");
  NamedKey named;
  named.name = TakeName(lines);
  named.key = TakePublic(lines);
  lines.TakeEnd();
  return named;
}

PrivateKey PrivateKey::Generate(std::string name) {
  const Ed25519Seed seed = MakeSeed();
  return {{std::move(name), PublicKeyOf(seed)}, seed};
}

PrivateKey PrivateKey::Parse(std::string_view text, const std::string& path,
                             const AskPassphrase& ask) {
  KeyLines lines(text, path);
  lines.TakeHead(kPrivateHead, "Give the private key, not the one that ends in .pub.");
  NamedKey named;
  named.name = TakeName(lines);
  named.key = TakePublic(lines);
  const Ed25519Seed seed = TakeSeed(lines, named.key, path, ask);
  lines.TakeEnd();
  if (PublicKeyOf(seed) != named.key) {
    throw Error(ErrorKind::kInput, "the secret is not that of the public key beside it",
                "Restore the key from a copy.")
        .WithPath(path);
  }
  return {std::move(named), seed};
}

std::string PrivateKey::ToText(std::string_view passphrase) const {
  const std::string key = FormatKey(named_.key);
  std::string text = std::string(kPrivateHead) + "\nname " + named_.name + "\npublic " + key + "\n";
  if (!passphrase.empty()) return text + TextOf(Seal(seed_, passphrase, key));
  return text + "secret " + ToHex(ByteSpan(seed_.bytes)) + "\n";
}

}  // namespace firn
