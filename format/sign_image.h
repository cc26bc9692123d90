#ifndef FIRN_FORMAT_SIGN_IMAGE_H_
#define FIRN_FORMAT_SIGN_IMAGE_H_

#include <functional>
#include <string>

#include "format/digest.h"
#include "format/file.h"
#include "format/key.h"
#include "format/signature.h"

namespace firn {

struct SignOptions {
  bool detached = false;  // into DetachedPathOf() the image, which stays as it is
  bool discard = false;   // signatures that are there go, instead of being added to
  // Called now and then while the image is copied; may throw to give up.
  std::function<void(uint64_t done, uint64_t total)> progress;
};

struct SignSummary {
  Digest id;
  std::string written;  // path of the image, or of the signatures beside it
  size_t signatures = 0;
  bool is_new = true;  // false: the key had signed it, and nothing was written
};

// Signs the image's id. What was opened before stays as it was: an image that is being served keeps
// its bytes, as a copy with the signatures takes its name once that is whole.
//
// Throws kDamaged for a core that is not what its id says, and for signatures that are damaged or
// over another id; kOutput where the copy would not be the owner's any more.
SignSummary SignImage(FileDescriptor image, const std::string& path, const PrivateKey& key,
                      const SignOptions& options);

}  // namespace firn

#endif  // FIRN_FORMAT_SIGN_IMAGE_H_
