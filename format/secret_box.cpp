#include "format/secret_box.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <memory>

#include "format/error.h"

namespace firn {
namespace {

constexpr size_t kTagLength = 16;
constexpr uint64_t kMostMemory = uint64_t{1} << 30;

using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

template <typename Byte>
auto* AsChars(Byte* bytes) {
  if constexpr (std::is_const_v<Byte>) {
    return reinterpret_cast<const unsigned char*>(bytes);
  } else {
    return reinterpret_cast<unsigned char*>(bytes);
  }
}

void RequireCipher(bool is_done) {
  if (!is_done) {
    throw Error(ErrorKind::kInternal, "OpenSSL does no scrypt or ChaCha20-Poly1305");
  }
}

uint64_t MemoryOf(const SecretBox& box) {
  return 128 * box.scrypt_r * (box.scrypt_n + box.scrypt_p + 2);
}

Ed25519Seed KeyOf(const SecretBox& box, std::string_view passphrase) {
  Ed25519Seed key;  // of the cipher: as long, and to be wiped as well
  RequireCipher(EVP_PBE_scrypt(passphrase.data(), passphrase.size(), AsChars(box.salt.data()),
                               box.salt.size(), box.scrypt_n, box.scrypt_r, box.scrypt_p,
                               MemoryOf(box), AsChars(key.bytes.data()), key.bytes.size()) == 1);
  return key;
}

// `encrypt`: 1 or 0.
CipherContext StartCipher(const SecretBox& box, std::string_view passphrase, std::string_view bound,
                          int encrypt) {
  const Ed25519Seed key = KeyOf(box, passphrase);
  CipherContext context(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  int ignored = 0;
  RequireCipher(context != nullptr &&
                EVP_CipherInit_ex(context.get(), EVP_chacha20_poly1305(), nullptr,
                                  AsChars(key.bytes.data()), AsChars(box.nonce.data()),
                                  encrypt) == 1 &&
                EVP_CipherUpdate(context.get(), nullptr, &ignored, AsChars(bound.data()),
                                 static_cast<int>(bound.size())) == 1);
  return context;
}

}  // namespace

bool SecretBox::HasSaneCost() const {
  constexpr uint64_t kMost = uint64_t{1} << 20;
  const bool is_power = scrypt_n > 1 && (scrypt_n & (scrypt_n - 1)) == 0;
  return is_power && scrypt_n <= kMost && scrypt_r >= 1 && scrypt_r <= 64 && scrypt_p >= 1 &&
         scrypt_p <= 16 && MemoryOf(*this) <= kMostMemory;
}

SecretBox Seal(const Ed25519Seed& seed, std::string_view passphrase, std::string_view bound) {
  SecretBox box;
  box.scrypt_n = uint64_t{1} << 17;
  box.scrypt_r = 8;
  box.scrypt_p = 1;
  if (RAND_bytes(AsChars(box.salt.data()), static_cast<int>(box.salt.size())) != 1 ||
      RAND_bytes(AsChars(box.nonce.data()), static_cast<int>(box.nonce.size())) != 1) {
    throw Error(ErrorKind::kSystem, "the system gives no random numbers");
  }
  const CipherContext context = StartCipher(box, passphrase, bound, 1);
  int length = 0;
  unsigned char* const out = AsChars(box.sealed.data());
  RequireCipher(EVP_CipherUpdate(context.get(), out, &length, AsChars(seed.bytes.data()),
                                 static_cast<int>(seed.bytes.size())) == 1 &&
                EVP_CipherFinal_ex(context.get(), out + length, &length) == 1 &&
                EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kTagLength,
                                    out + seed.bytes.size()) == 1);
  return box;
}

std::optional<Ed25519Seed> Unseal(const SecretBox& box, std::string_view passphrase,
                                  std::string_view bound) {
  const CipherContext context = StartCipher(box, passphrase, bound, 0);
  Ed25519Seed seed;
  std::array<std::byte, kTagLength> tag;
  std::copy(box.sealed.begin() + seed.bytes.size(), box.sealed.end(), tag.begin());
  int length = 0;
  unsigned char* const out = AsChars(seed.bytes.data());
  RequireCipher(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kTagLength, tag.data()) ==
                    1 &&
                EVP_CipherUpdate(context.get(), out, &length, AsChars(box.sealed.data()),
                                 static_cast<int>(seed.bytes.size())) == 1);
  if (EVP_CipherFinal_ex(context.get(), out + length, &length) != 1) return std::nullopt;
  return seed;
}

}  // namespace firn
