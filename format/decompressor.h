#ifndef FIRN_FORMAT_DECOMPRESSOR_H_
#define FIRN_FORMAT_DECOMPRESSOR_H_

#include <cstddef>
#include <memory>

#include "format/superblock.h"
#include "format/types.h"

namespace firn {

// Decodes blocks of one compression. Thread-safe, without waiting for other threads.
class Decompressor {
 public:
  // zstd is decoded by libzstd, gzip, xz and lz4 by libsquashfs. Throws kUnsupported for others.
  static std::unique_ptr<const Decompressor> Create(Compression compression, uint32_t block_size);
  virtual ~Decompressor() = default;

  // Decodes `stored` into `out`; returns the number of bytes. Throws kDamaged where that fails or
  // gives more than `out` holds.
  virtual size_t Decode(ByteSpan stored, MutableByteSpan out) const = 0;
};

}  // namespace firn

#endif  // FIRN_FORMAT_DECOMPRESSOR_H_
