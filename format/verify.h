#ifndef FIRN_FORMAT_VERIFY_H_
#define FIRN_FORMAT_VERIFY_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "format/appendix.h"
#include "format/digest.h"
#include "format/file.h"
#include "format/signature.h"

namespace firn {

// Something in an image that is not as it must be.
struct VerifyFinding {
  std::string path;     // of the file in the image; empty where it is not one file's
  uint64_t offset = 0;  // in the image file
  std::string message;
};

struct VerifyReport {
  std::optional<Digest> id;  // absent where footer or core table cannot be read
  uint64_t bytes = 0;        // of the image file
  uint64_t sections = 0;     // looked at, as the following
  uint64_t extents = 0;
  uint64_t files = 0;
  uint64_t inodes = 0;  // with `deep`
  // Those in the image, where it has some that can be read; a wrong one is a finding too.
  std::optional<SignatureArea> signatures;
  std::vector<VerifyFinding> findings;
  uint64_t findings_left_out = 0;  // of a hostile image; so many more than `findings` has
  // With `deep`: what is odd and harms nothing.
  std::vector<std::string> notes;

  bool ok() const { return findings.empty(); }
};

// Paths in the image that one of its sections names.
struct NamedPaths {
  std::string who;      // names them, for messages
  uint64_t offset = 0;  // of the section
  std::vector<std::string> paths;
};

struct VerifyOptions {
  unsigned jobs = 1;
  // Also each structure of the file system by itself, whether they contradict each other and the
  // appendix, and every path that a damaged extent touches.
  bool deep = false;
  // With `deep`: what sections name that this library does not read. May throw kDamaged.
  std::function<std::vector<NamedPaths>(int fd, const Appendix& appendix)> named_paths{};
  // Called from any thread, one at a time: bytes looked at, of how many.
  std::function<void(uint64_t done, uint64_t total)> progress;
};

// Checks every byte of an image: mark, footer, core table and id, the digests of all sections, the
// padding, signatures, XXH3-64 and SHA-256 of every extent, the SHA-256 of every file's content;
// with `deep` all that FORMAT.md says of the file system too. Damage is reported, not thrown; a
// foreign or newer image throws kUnsupported, a file that is no image kDamaged.
VerifyReport Verify(FileDescriptor fd, const std::string& path, const VerifyOptions& options);

}  // namespace firn

#endif  // FIRN_FORMAT_VERIFY_H_
