#ifndef FIRN_BUILDER_EXPORT_TREE_EXPORT_H_
#define FIRN_BUILDER_EXPORT_TREE_EXPORT_H_

#include <cstdint>
#include <functional>
#include <string>

#include "format/image.h"

namespace firn {

struct ExportedTree {
  uint64_t files = 0;  // hard links counted
  uint64_t directories = 0;
  uint64_t symlinks = 0;
  uint64_t skipped = 0;  // devices, sockets and fifos that could not be made or stored
};

// Both read every byte with its checksum checked. They throw kUnsupported for an image that holds
// only the differences to a base, kDamaged where bytes are not what they must be, kOutput for the
// other side. `poll` is called often and may throw.

// Writes the tree into a directory that is not there yet, or is empty; what was written is removed
// again when it throws. Nothing is written outside of it, whatever the image holds: no symlink is
// followed. Modes and times are the image's, owners too where root asks.
ExportedTree ExportDirectory(const Image& image, const std::string& directory,
                             const std::function<void()>& poll);

enum class TarFilter { kNone, kGzip, kXz, kZstd };

// Writes a tar archive (GNU's variant) to the descriptor; the same image gives the same bytes.
ExportedTree ExportTar(const Image& image, int fd, TarFilter filter,
                       const std::function<void()>& poll);

}  // namespace firn

#endif  // FIRN_BUILDER_EXPORT_TREE_EXPORT_H_
