#ifndef FIRN_FORMAT_TRUSTED_KEYS_H_
#define FIRN_FORMAT_TRUSTED_KEYS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "format/digest.h"
#include "format/key.h"
#include "format/signature.h"

namespace firn {

struct TrustedKey {
  NamedKey named;
  std::string path;  // of its file
};

// The public keys of a directory. Immutable.
class TrustedKeys {
 public:
  TrustedKeys() = default;
  // The files of `directory` whose names end in .pub; others are left alone. Throws kInput where
  // there is none, one is no public key, and for root where somebody else may change directory or
  // files.
  static TrustedKeys Load(const std::string& directory);

  bool empty() const { return keys_.empty(); }
  size_t size() const { return keys_.size(); }
  // Null where it is not trusted.
  const TrustedKey* Find(const PublicKey& key) const;
  // Who signed that image: of the keys with a right signature the one that comes first, whatever
  // the signatures' order; null where there is none.
  const TrustedKey* SignerOf(const SignatureArea& area, const Digest& image_id) const;

 private:
  std::vector<TrustedKey> keys_;  // by key
};

}  // namespace firn

#endif  // FIRN_FORMAT_TRUSTED_KEYS_H_
