#ifndef FIRN_FORMAT_EXTENT_CHECK_H_
#define FIRN_FORMAT_EXTENT_CHECK_H_

#include <optional>
#include <string_view>

namespace firn {

// What an extent is compared with before a byte of it is used.
enum class ExtentCheck {
  kChecksum,  // its XXH3-64: finds what happens by accident
  kProof      // its SHA-256: finds what is done on purpose too
};

constexpr std::string_view ToString(ExtentCheck check) {
  return check == ExtentCheck::kProof ? "proof" : "checksum";
}

// Nothing for other text than "checksum" and "proof".
constexpr std::optional<ExtentCheck> ParseExtentCheck(std::string_view name) {
  for (const ExtentCheck check : {ExtentCheck::kChecksum, ExtentCheck::kProof}) {
    if (name == ToString(check)) return check;
  }
  return std::nullopt;
}

}  // namespace firn

#endif  // FIRN_FORMAT_EXTENT_CHECK_H_
