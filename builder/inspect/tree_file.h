#ifndef FIRN_BUILDER_INSPECT_TREE_FILE_H_
#define FIRN_BUILDER_INSPECT_TREE_FILE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace firn {

// The first `limit` bytes of a regular file; nullopt for anything else, and for a file that is not
// there or cannot be read: the writer of the image is the one to complain of it. Never waits.
std::optional<std::string> ReadTreeFile(const std::string& path, uint64_t limit);

// Names in a directory, sorted by their bytes; none where it is no directory that can be read.
std::vector<std::string> NamesIn(const std::string& directory);

}  // namespace firn

#endif  // FIRN_BUILDER_INSPECT_TREE_FILE_H_
