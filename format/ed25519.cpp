#include "format/ed25519.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <memory>

#include "format/error.h"
#include "format/hex.h"

namespace firn {
namespace {

constexpr std::string_view kKeyPrefix = "ed25519:";

using PKey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using SignContext = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

const unsigned char* Data(ByteSpan bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

unsigned char* Data(MutableByteSpan bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

void Require(bool is_done) {
  if (!is_done) throw Error(ErrorKind::kInternal, "OpenSSL does no Ed25519");
}

PKey PrivateKeyOf(const Ed25519Seed& seed) {
  PKey key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, Data(ByteSpan(seed.bytes)),
                                        seed.bytes.size()),
           &EVP_PKEY_free);
  Require(key != nullptr);
  return key;
}

SignContext MakeSignContext() {
  SignContext context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  Require(context != nullptr);
  return context;
}

}  // namespace

Ed25519Seed::~Ed25519Seed() { OPENSSL_cleanse(bytes.data(), bytes.size()); }

std::string FormatKey(const PublicKey& key) {
  return std::string(kKeyPrefix) + ToHex(ByteSpan(key.bytes));
}

std::optional<PublicKey> ParseKey(std::string_view text) {
  if (!text.starts_with(kKeyPrefix)) return std::nullopt;
  const auto bytes = FromHex(text.substr(kKeyPrefix.size()));
  PublicKey key;
  if (!bytes || bytes->size() != key.bytes.size()) return std::nullopt;
  std::ranges::copy(*bytes, key.bytes.begin());
  return key;
}

Ed25519Seed MakeSeed() {
  Ed25519Seed seed;
  if (RAND_priv_bytes(Data(MutableByteSpan(seed.bytes)), static_cast<int>(seed.bytes.size())) !=
      1) {
    throw Error(ErrorKind::kSystem, "the system gives no random numbers");
  }
  return seed;
}

PublicKey PublicKeyOf(const Ed25519Seed& seed) {
  PublicKey key;
  size_t length = key.bytes.size();
  Require(EVP_PKEY_get_raw_public_key(PrivateKeyOf(seed).get(), Data(MutableByteSpan(key.bytes)),
                                      &length) == 1);
  return key;
}

Ed25519Signature SignMessage(const Ed25519Seed& seed, ByteSpan message) {
  const PKey key = PrivateKeyOf(seed);
  const SignContext context = MakeSignContext();
  Ed25519Signature signature;
  size_t length = signature.bytes.size();
  Require(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1);
  Require(EVP_DigestSign(context.get(), Data(MutableByteSpan(signature.bytes)), &length,
                         Data(message), message.size()) == 1);
  return signature;
}

bool IsSignatureOf(const PublicKey& key, ByteSpan message, const Ed25519Signature& signature) {
  const PKey public_key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr,
                                                    Data(ByteSpan(key.bytes)), key.bytes.size()),
                        &EVP_PKEY_free);
  if (public_key == nullptr) return false;
  const SignContext context = MakeSignContext();
  Require(EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, public_key.get()) == 1);
  return EVP_DigestVerify(context.get(), Data(ByteSpan(signature.bytes)), signature.bytes.size(),
                          Data(message), message.size()) == 1;
}

}  // namespace firn
