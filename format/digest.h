#ifndef FIRN_FORMAT_DIGEST_H_
#define FIRN_FORMAT_DIGEST_H_

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "format/types.h"

namespace firn {

// A SHA-256.
struct Digest {
  std::array<std::byte, 32> bytes{};

  auto operator<=>(const Digest&) const = default;
};

// 64 lower-case hexadecimal digits.
std::string ToHex(const Digest& digest);
// "sha256:" and the hexadecimal digits: how an image id is printed.
std::string FormatImageId(const Digest& id);

// nullopt for any other text than FormatImageId() gives.
std::optional<Digest> ParseImageId(std::string_view text);

// SHA-256 of bytes that come in pieces. Not thread-safe; may be reused after Finish().
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Update(ByteSpan bytes);
  Digest Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Digest Sha256Of(ByteSpan bytes);
uint64_t Xxh3Of(ByteSpan bytes);

}  // namespace firn

#endif  // FIRN_FORMAT_DIGEST_H_
