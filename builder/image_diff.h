#ifndef FIRN_BUILDER_IMAGE_DIFF_H_
#define FIRN_BUILDER_IMAGE_DIFF_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "builder/inspect/package.h"
#include "builder/merged_images.h"
#include "format/inode.h"

namespace firn {

// Between two images, the first of which is the older one by intent.
struct PackageChange {
  std::optional<Package> before;  // none: added
  std::optional<Package> after;   // none: removed
};

enum class FileChangeKind { kAdded, kRemoved, kChanged };

struct FileChange {
  FileChangeKind kind = FileChangeKind::kChanged;
  std::string path;                    // below the root; empty for the root
  FileType type = FileType::kRegular;  // of the one that is there, or the newer one
  uint64_t entries = 0;                // of a directory that came or went: all that is below it
  // What differs of an entry that both have: "type", "content", "target", "device", "mode",
  // "owner", in this order.
  std::vector<std::string> what;
};

// Pairs packages of one kind and name; those with equal version, build and digests are left out.
std::vector<PackageChange> DiffPackages(const PackageList& before, const PackageList& after);

// What each shows, with the images that it is a layer over: by names, then by the digests that the
// images hold, without reading contents; files of a foreign image are read. Times are left out, as
// they say when and not what. `poll` may throw.
std::vector<FileChange> DiffFiles(const MergedImages& before, const MergedImages& after,
                                  const std::function<void()>& poll);

}  // namespace firn

#endif  // FIRN_BUILDER_IMAGE_DIFF_H_
