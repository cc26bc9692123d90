#include "format/digest.h"

#include <openssl/evp.h>
#include <xxhash.h>

#include <algorithm>

#include "format/error.h"
#include "format/hex.h"

namespace firn {

namespace {

constexpr std::string_view kIdPrefix = "sha256:";

}  // namespace

struct Sha256::State {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(),
                                                                  &EVP_MD_CTX_free};

  void Restart() {
    if (!context || EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1) {
      throw Error(ErrorKind::kInternal, "OpenSSL offers no SHA-256");
    }
  }
};

Sha256::Sha256() : state_(std::make_unique<State>()) { state_->Restart(); }
Sha256::~Sha256() = default;

void Sha256::Update(ByteSpan bytes) {
  EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size());
}

Digest Sha256::Finish() {
  Digest digest;
  EVP_DigestFinal_ex(state_->context.get(), reinterpret_cast<unsigned char*>(digest.bytes.data()),
                     nullptr);
  state_->Restart();
  return digest;
}

Digest Sha256Of(ByteSpan bytes) {
  thread_local Sha256 hash;
  hash.Update(bytes);
  return hash.Finish();
}

uint64_t Xxh3Of(ByteSpan bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

std::string ToHex(const Digest& digest) { return ToHex(ByteSpan(digest.bytes)); }

std::string FormatImageId(const Digest& id) { return std::string(kIdPrefix) + ToHex(id); }

std::optional<Digest> ParseImageId(std::string_view text) {
  if (!text.starts_with(kIdPrefix)) return std::nullopt;
  const auto bytes = FromHex(text.substr(kIdPrefix.size()));
  Digest id;
  if (!bytes || bytes->size() != id.bytes.size()) return std::nullopt;
  std::ranges::copy(*bytes, id.bytes.begin());
  return id;
}

}  // namespace firn
