#ifndef FIRN_BUILDER_OPTIMIZE_H_
#define FIRN_BUILDER_OPTIMIZE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "format/digest.h"
#include "format/file.h"

namespace firn {

struct OptimizeOptions {
  std::string image;                  // its name, for messages
  std::vector<std::string> profiles;  // files, merged in this order
  std::string output;
  unsigned jobs = 0;   // 0: as many as there are processors
  bool force = false;  // replace an existing output
};

struct OptimizeSummary {
  Digest id;
  Digest source_id;
  uint64_t bytes_in = 0;  // lengths of the two files
  uint64_t bytes_out = 0;
  uint64_t blocks_copied = 0;  // data and fragment blocks, as they were stored
  uint64_t blocks_compressed = 0;
  uint64_t profile_files = 0;          // that stand in front
  uint64_t profile_paths_missing = 0;  // that the image has not
  double seconds = 0;
};

// Writes the image that `file` is open on once more, in the order of the profiles, and with them
// in place of the profile that it had. Tree, contents and manifest stay; signatures, which are of
// the other image's id, do not. Reacts to SIGINT, SIGTERM and SIGHUP; leaves nothing behind when
// it throws. `progress` takes bytes of contents, done and in all. Throws kUsage, kInput, kOutput,
// kDamaged, kUnsupported, kInterrupted.
OptimizeSummary Optimize(FileDescriptor file, const OptimizeOptions& options,
                         const std::function<void(uint64_t, uint64_t)>& progress);

}  // namespace firn

#endif  // FIRN_BUILDER_OPTIMIZE_H_
