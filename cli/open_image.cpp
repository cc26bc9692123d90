#include "cli/open_image.h"

#include "cli/image_file.h"

namespace firn {
namespace {

constexpr size_t kTreeCacheBytes = size_t{64} << 20;

}  // namespace

OpenedImage OpenTree(const std::string& path, bool allow_foreign) {
  OpenedImage opened;
  opened.cache = std::make_unique<BlockCache>(kTreeCacheBytes);
  ImageOptions options;
  options.allow_foreign = allow_foreign;
  opened.image = Image::Open(OpenImageFile(path), path, *opened.cache, options);
  return opened;
}

}  // namespace firn
