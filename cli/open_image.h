#ifndef FIRN_CLI_OPEN_IMAGE_H_
#define FIRN_CLI_OPEN_IMAGE_H_

#include <memory>
#include <string>

#include "format/block_cache.h"
#include "format/image.h"

namespace firn {

// An image for a command that reads its tree, with the cache that it reads through.
struct OpenedImage {
  std::unique_ptr<BlockCache> cache;
  std::unique_ptr<const Image> image;
};

// Throws as OpenImageFile() and Image::Open() do.
OpenedImage OpenTree(const std::string& path, bool allow_foreign);

}  // namespace firn

#endif  // FIRN_CLI_OPEN_IMAGE_H_
