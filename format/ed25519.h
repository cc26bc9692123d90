#ifndef FIRN_FORMAT_ED25519_H_
#define FIRN_FORMAT_ED25519_H_

#include <array>
#include <compare>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "format/types.h"

// Ed25519 (RFC 8032), by OpenSSL. Thread-safe.
namespace firn {

struct PublicKey {
  std::array<std::byte, 32> bytes{};

  auto operator<=>(const PublicKey&) const = default;
};

struct Ed25519Signature {
  std::array<std::byte, 64> bytes{};

  bool operator==(const Ed25519Signature&) const = default;
};

// The 32 bytes that a private key is made of; wiped when it goes.
struct Ed25519Seed {
  Ed25519Seed() = default;
  Ed25519Seed(const Ed25519Seed&) = default;
  Ed25519Seed& operator=(const Ed25519Seed&) = default;
  ~Ed25519Seed();

  std::array<std::byte, 32> bytes{};
};

// How a key is named: "ed25519:" and 64 lower-case hexadecimal digits.
std::string FormatKey(const PublicKey& key);
std::optional<PublicKey> ParseKey(std::string_view text);

// From the kernel's random numbers.
Ed25519Seed MakeSeed();
PublicKey PublicKeyOf(const Ed25519Seed& seed);
Ed25519Signature SignMessage(const Ed25519Seed& seed, ByteSpan message);
bool IsSignatureOf(const PublicKey& key, ByteSpan message, const Ed25519Signature& signature);

}  // namespace firn

#endif  // FIRN_FORMAT_ED25519_H_
