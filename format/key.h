#ifndef FIRN_FORMAT_KEY_H_
#define FIRN_FORMAT_KEY_H_

#include <functional>
#include <string>
#include <string_view>

#include "format/ed25519.h"
#include "format/types.h"

// Keys as files: firn-key(5) has their text.
namespace firn {

// A public key with the name that its maker gave it, which proves nothing.
struct NamedKey {
  std::string name;
  PublicKey key;

  std::string ToText() const;
  // Throws kInput, with `path` and the line that is wrong.
  static NamedKey Parse(std::string_view text, const std::string& path);
  // Throws kInput where it cannot be read as well.
  static NamedKey Read(const std::string& path);
};

// May a key be called so? One line of 1 to 128 bytes, nothing in it for a terminal to act upon.
bool IsKeyName(std::string_view name);

class PrivateKey {
 public:
  // Called once, and only for a key that has a passphrase.
  using AskPassphrase = std::function<std::string()>;

  static PrivateKey Generate(std::string name);
  // Throws kInput, also where the passphrase is another one.
  static PrivateKey Parse(std::string_view text, const std::string& path, const AskPassphrase& ask);
  // Throws kInput where it cannot be read, or is readable to others than its owner.
  static PrivateKey Read(const std::string& path, const AskPassphrase& ask);

  const NamedKey& named() const { return named_; }
  Ed25519Signature Sign(ByteSpan message) const { return SignMessage(seed_, message); }

  // `passphrase`: empty for a key without one.
  std::string ToText(std::string_view passphrase) const;

 private:
  PrivateKey(NamedKey named, const Ed25519Seed& seed) : named_(std::move(named)), seed_(seed) {}

  NamedKey named_;
  Ed25519Seed seed_;
};

// Writes the private key to `path`, for the owner alone, and the public one to `path` + ".pub".
// Neither may exist; where one cannot be written, neither stays. Throws kOutput.
void WriteKeyPair(const PrivateKey& key, std::string_view passphrase, const std::string& path);

}  // namespace firn

#endif  // FIRN_FORMAT_KEY_H_
