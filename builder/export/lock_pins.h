#ifndef FIRN_BUILDER_EXPORT_LOCK_PINS_H_
#define FIRN_BUILDER_EXPORT_LOCK_PINS_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "builder/inspect/image_sections.h"

namespace firn {

// What a lock file says of a version of a Python package: the files that it may be installed from.
struct LockPin {
  struct File {
    std::string url;     // may be empty
    std::string name;    // may be empty
    std::string sha256;  // hexadecimal
    bool is_sdist = false;
  };
  std::vector<File> files;
};

// By normalized name and version.
using LockPins = std::map<std::pair<std::string, std::string>, LockPin>;

// Of every uv.lock, pylock.toml and requirements.txt among the files. `warnings` gets a line for
// one that cannot be read.
LockPins ReadLockPins(const std::vector<StoredLock>& locks, std::vector<std::string>& warnings);

}  // namespace firn

#endif  // FIRN_BUILDER_EXPORT_LOCK_PINS_H_
