#ifndef FIRN_MOUNTD_TRUST_POLICY_H_
#define FIRN_MOUNTD_TRUST_POLICY_H_

#include <sys/stat.h>

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/digest.h"
#include "format/signature.h"
#include "format/trusted_keys.h"

// Which images a site lets jobs use: `policy` in firnd.yaml(5).
namespace firn {

enum class ImagePolicy {
  kAny,
  kOwner,  // the file is root's, or of the user who shows it, and no stranger may write to it
  kSigned  // by a trusted key
};

// Nothing for other text than "any", "owner" and "signed".
std::optional<ImagePolicy> ParseImagePolicy(std::string_view name);

struct TrustSettings {
  ImagePolicy policy = ImagePolicy::kAny;
  std::string directory;  // of the trusted keys; empty: none are
  TrustedKeys keys;
};

// The signatures of an image, as whoever shows it says: they prove themselves, once the image is
// known to have the id that they are over.
struct ShownSignatures {
  std::vector<SignatureArea> areas;
  std::string damage;  // why some could not be read; may be empty
};

// Those in the image and those beside it, at DetachedPathOf() `path`. Reads the file; what cannot
// be read there is `damage`.
ShownSignatures FindSignatures(int fd, const std::string& path);

// As members of a message. What comes from others may be anything: the second throws
// nlohmann::json::exception or kUsage.
void AddToMessage(const ShownSignatures& signatures, nlohmann::json& message);
ShownSignatures SignaturesFrom(const nlohmann::json& message);

// An image that a trusted key has signed, if it has that id.
struct TrustedSigner {
  PublicKey key;
  std::string name;
  Digest image_id;
};

std::optional<TrustedSigner> FindSigner(const TrustSettings& trust,
                                        const ShownSignatures& signatures);

// Who shows which file.
struct ShownFile {
  std::string path;
  uid_t owner = 0;
  mode_t mode = 0;
  uid_t user = 0;  // who shows it
};

// Throws kUntrusted, with what the policy asks for and what was found.
void RequireTrust(const TrustSettings& trust, const ShownFile& file,
                  const ShownSignatures& signatures, const std::optional<TrustedSigner>& signer);

}  // namespace firn

#endif  // FIRN_MOUNTD_TRUST_POLICY_H_
