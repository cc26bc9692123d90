#ifndef FIRN_FORMAT_SIGNATURE_H_
#define FIRN_FORMAT_SIGNATURE_H_

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "format/appendix.h"
#include "format/digest.h"
#include "format/ed25519.h"
#include "format/key.h"
#include "format/types.h"

// Signatures of images: FORMAT.md has how they are stored.
namespace firn {

inline constexpr size_t kMaxSignatures = 64;
inline constexpr size_t kSignedMessageLength = 56;

struct ImageSignature {
  PublicKey key;
  Ed25519Signature signature;
};

// What a signature of the image with that id is made over.
std::array<std::byte, kSignedMessageLength> SignedMessage(const Digest& image_id);

// A signature area: what stands behind the core of an image, or in a file beside it.
struct SignatureArea {
  Digest image_id;
  std::vector<ImageSignature> signatures;

  static constexpr size_t kHeadLength = 48;
  static constexpr size_t kSignatureLength = 96;
  static constexpr size_t kChecksumLength = 8;
  static constexpr size_t kMaxLength =
      kHeadLength + kMaxSignatures * kSignatureLength + kChecksumLength;

  std::vector<std::byte> Encode() const;
  // Throws kDamaged, or kUnsupported for a newer version. Says nothing of whether the signatures
  // are right.
  static SignatureArea Decode(ByteSpan bytes);

  // Is that one made by its key, over this image id?
  bool IsRight(const ImageSignature& signature) const;
  const ImageSignature* Find(const PublicKey& key) const;
  // In the place of one by the same key. Throws kOutput where there are kMaxSignatures.
  void Add(const PrivateKey& key);
};

// The area in an image; nullopt where it has none. Throws kDamaged and kUnsupported.
std::optional<SignatureArea> ReadSignatures(int fd, const Appendix& appendix,
                                            const std::string& path);

// The file beside an image: its path and ".sig".
std::string DetachedPathOf(const std::string& image_path);
// The area in such a file; nullopt where there is no file. Throws kInput, kDamaged, kUnsupported.
std::optional<SignatureArea> ReadDetachedSignatures(const std::string& path);

}  // namespace firn

#endif  // FIRN_FORMAT_SIGNATURE_H_
