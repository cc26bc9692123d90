#ifndef FIRN_CLI_IMAGE_TRUST_H_
#define FIRN_CLI_IMAGE_TRUST_H_

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "format/trusted_keys.h"

namespace firn {

// What the signatures of an image amount to.
struct ImageTrust {
  struct Signature {
    std::string place;  // the file that it stands in
    PublicKey key;
    bool is_right = false;     // by that key, over this image
    std::string name{};        // of a key that is trusted, as the next
    std::string trusted_by{};  // path of the key's file
  };
  std::vector<Signature> signatures;
  std::vector<std::string> damages;  // why some cannot be read, or are forged
  std::vector<std::string> others;   // that are over another image

  bool is_trusted() const;
  // Why not, for people.
  std::string Reason(const std::string& directory) const;
};

// `in_image`: the signatures there; those beside it, at `detached`, are read where there are any.
// `trusted` may be null: then no key is.
ImageTrust JudgeSignatures(const std::string& image, const Digest& id,
                           const std::optional<SignatureArea>& in_image,
                           const std::string& detached, const TrustedKeys* trusted);

// The same for who asks of signatures only, when no key is trusted: what cannot be read is one of
// the damages, too.
ImageTrust ReadImageSignatures(int fd, const Appendix& appendix);

nlohmann::ordered_json SignaturesToJson(const ImageTrust& trust);
void PrintSignatures(const ImageTrust& trust);

}  // namespace firn

#endif  // FIRN_CLI_IMAGE_TRUST_H_
