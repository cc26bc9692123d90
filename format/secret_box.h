#ifndef FIRN_FORMAT_SECRET_BOX_H_
#define FIRN_FORMAT_SECRET_BOX_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "format/ed25519.h"
#include "format/types.h"

namespace firn {

// A seed under a passphrase: scrypt (RFC 7914) makes a key of that, ChaCha20-Poly1305 (RFC 8439)
// encrypts.
struct SecretBox {
  uint64_t scrypt_n = 0;  // a power of two
  uint64_t scrypt_r = 0;
  uint64_t scrypt_p = 0;
  std::array<std::byte, 16> salt{};
  std::array<std::byte, 12> nonce{};
  std::array<std::byte, 48> sealed{};  // the seed, encrypted, and the tag

  // With parameters that this Firn takes: they cost at most 1 GiB and some seconds.
  bool HasSaneCost() const;
};

// `bound` is not kept, but has to be the same when it is opened.
SecretBox Seal(const Ed25519Seed& seed, std::string_view passphrase, std::string_view bound);
// nullopt where the passphrase, or anything else, is another one. The box must HasSaneCost().
std::optional<Ed25519Seed> Unseal(const SecretBox& box, std::string_view passphrase,
                                  std::string_view bound);

}  // namespace firn

#endif  // FIRN_FORMAT_SECRET_BOX_H_
