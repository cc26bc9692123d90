#ifndef FIRN_BUILDER_BUILD_H_
#define FIRN_BUILDER_BUILD_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/image_writer.h"

namespace firn {

// An image of what differs from others, over which it is shown.
struct LayerOptions {
  std::vector<std::string> bases;  // paths of images, the lowest first
  std::string changes;  // the upper directory of an overlay over them, or with `is_whole` a tree
  bool is_whole = false;
};

struct BuildOptions {
  std::string directory;
  std::string output;
  std::optional<std::string> name;    // default: the directory's name
  std::optional<std::string> prefix;  // default: the directory's real path
  uint32_t block_size = 1u << 20;
  int level = 9;
  unsigned jobs = 0;  // 0: as many as there are processors
  bool keep_modes = false;
  bool skip_special = false;
  bool compile = true;
  bool force = false;                 // replace an existing output
  std::vector<std::string> profiles;  // files, merged in this order
  Manifest manifest = {};             // what is known beforehand: version, environment, labels, …
  std::vector<ExtraSection> sections = {};
  std::optional<LayerOptions> layer = {};  // then `directory` shows the bases and the changes
  // Called with the path of the whole image, which has not got its name yet, and gets it unless
  // this throws.
  std::function<void(const std::string& path)> check = {};
};

enum class BuildStage { kWalk, kCompile, kWrite };

struct BuildProgress {
  BuildStage stage = BuildStage::kWalk;
  uint64_t done = 0;
  uint64_t total = 0;  // 0: unknown. Files while walking and compiling, bytes while writing
};

struct BuildSummary {
  WrittenImage image;
  std::string output;
  uint64_t skipped_special = 0;
  uint64_t profile_files = 0;          // that stand in front
  uint64_t profile_paths_missing = 0;  // that the tree has not
  double seconds = 0;
};

// Checks the options, walks the directory, compiles its Python modules, and writes the image.
// Gives up where ThrowIfInterrupted() does; leaves nothing behind when it throws. `progress` is
// called on this thread. Throws kUsage, kInput, kOutput, kInterrupted.
BuildSummary Build(const BuildOptions& options,
                   const std::function<void(const BuildProgress&)>& progress);

// "4096", "64K", "1M" as bytes. Throws kUsage unless it is a power of two from 4 KiB to 1 MiB.
uint32_t ParseBlockSize(std::string_view text);

}  // namespace firn

#endif  // FIRN_BUILDER_BUILD_H_
