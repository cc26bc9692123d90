#ifndef FIRN_BUILDER_EXPORT_WHOLE_IMAGE_H_
#define FIRN_BUILDER_EXPORT_WHOLE_IMAGE_H_

#include <functional>

#include "builder/export/image_walk.h"
#include "format/image.h"

namespace firn {

// Throws kUnsupported for an image that holds only what differs from its base.
void CheckIsWhole(const Image& image);

// Calls `take` with the content of a regular file, piece by piece. `is_hole`: the piece is zeros
// that the image does not store.
void ReadContent(const Image& image, const Inode& file,
                 const std::function<void(uint64_t offset, ByteSpan bytes, bool is_hole)>& take);

}  // namespace firn

#endif  // FIRN_BUILDER_EXPORT_WHOLE_IMAGE_H_
