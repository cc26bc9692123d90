#ifndef FIRN_FORMAT_MANIFEST_H_
#define FIRN_FORMAT_MANIFEST_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace firn {

// A longer text is refused, as one of more than 131,072 values.
inline constexpr size_t kMaxManifestLength = size_t{1} << 20;

// What a job's variables depend on: which activation the environment had.
enum class EnvironmentKind {
  kOther,   // no Python in bin/
  kPython,  // a prefix with a Python
  kVenv,    // what was made as a venv, flattened or not
  kConda,
};

// What an image says of itself; FORMAT.md has the keys.
struct Manifest {
  struct Contents {
    uint64_t files = 0;
    uint64_t directories = 0;
    uint64_t symlinks = 0;
    uint64_t others = 0;      // devices, sockets, fifos
    uint64_t hard_links = 0;  // further names of files that are counted once in `files`
    uint64_t bytes = 0;       // sum of the sizes of regular files
  };
  struct Python {
    std::string version;
    uint64_t compiled = 0;                  // .pyc files made by the build
    std::vector<std::string> not_compiled;  // paths, relative to the prefix
  };

  // The image of which this one holds the differences: it is shown over that one.
  struct Base {
    std::string id;    // "sha256:…"
    std::string path;  // where it was at the build, for whoever looks for it
  };
  // A variable that a job gets. "${PREFIX}" in it is the place where the image is shown.
  struct Variable {
    std::string name;
    std::string value;
    bool operator==(const Variable&) const = default;
  };

  std::string name;
  std::string version;  // of the environment; may be empty
  std::string prefix;   // absolute
  EnvironmentKind kind = EnvironmentKind::kOther;
  std::string builder;  // "firn 0.1.0"
  int64_t time = 0;     // of every file, seconds since 1970
  std::string compression = "zstd";
  int compression_level = 0;
  uint32_t block_size = 0;
  std::string compression_library;  // "1.5.4"
  Contents contents;
  std::optional<Python> python;
  std::optional<Base> base;
  std::vector<Variable> environment;  // in this order
  std::vector<std::string> scratch;   // variables that get a private directory of the job
  std::vector<Variable> labels;       // of the recipe
  std::vector<std::string> bound;     // paths below the prefix of files that only work there

  std::string ToYaml() const;
  // Throws kDamaged. Unknown keys are ignored, missing ones keep their defaults, but for `name` and
  // an absolute `prefix`, which must be there.
  static Manifest FromYaml(std::string_view yaml);
};

}  // namespace firn

#endif  // FIRN_FORMAT_MANIFEST_H_
