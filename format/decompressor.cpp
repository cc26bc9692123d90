#include "format/decompressor.h"

#include <sqfs/compressor.h>
#include <zstd.h>

#include <mutex>
#include <vector>

#include "format/error.h"

namespace firn {
namespace {

Error CannotDecode(const std::string& reason) {
  return DamagedError("a block cannot be decompressed: " + reason);
}

class ZstdDecompressor final : public Decompressor {
 public:
  size_t Decode(ByteSpan stored, MutableByteSpan out) const override {
    thread_local const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(
        ZSTD_createDCtx(), &ZSTD_freeDCtx);
    const size_t size =
        ZSTD_decompressDCtx(context.get(), out.data(), out.size(), stored.data(), stored.size());
    if (ZSTD_isError(size)) throw CannotDecode(ZSTD_getErrorName(size));
    return size;
  }
};

// libsquashfs' decompressors keep a state, so each thread that decodes takes one from a pool.
class SquashfsDecompressor final : public Decompressor {
 public:
  SquashfsDecompressor(Compression compression, uint32_t block_size) {
    sqfs_compressor_config_init(&config_, static_cast<SQFS_COMPRESSOR>(ToInt(compression)),
                                block_size, SQFS_COMP_FLAG_UNCOMPRESS);
    idle_.push_back(Create());
  }

  size_t Decode(ByteSpan stored, MutableByteSpan out) const override {
    Handle handle = Take();
    const sqfs_s32 size =
        handle->do_block(handle.get(), reinterpret_cast<const sqfs_u8*>(stored.data()),
                         static_cast<sqfs_u32>(stored.size()),
                         reinterpret_cast<sqfs_u8*>(out.data()), static_cast<sqfs_u32>(out.size()));
    GiveBack(std::move(handle));
    if (size <= 0) throw CannotDecode("libsquashfs answers " + std::to_string(size));
    return static_cast<size_t>(size);
  }

 private:
  struct Destroy {
    void operator()(sqfs_compressor_t* compressor) const {
      reinterpret_cast<sqfs_object_t*>(compressor)
          ->destroy(reinterpret_cast<sqfs_object_t*>(compressor));
    }
  };
  using Handle = std::unique_ptr<sqfs_compressor_t, Destroy>;

  Handle Create() const {
    sqfs_compressor_t* compressor = nullptr;
    if (const int status = sqfs_compressor_create(&config_, &compressor); status != 0) {
      throw Error(ErrorKind::kUnsupported,
                  "libsquashfs offers no decompressor for it (" + std::to_string(status) + ")");
    }
    return Handle(compressor);
  }

  Handle Take() const {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        Handle handle = std::move(idle_.back());
        idle_.pop_back();
        return handle;
      }
    }
    return Create();
  }

  void GiveBack(Handle handle) const {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(handle));
  }

  sqfs_compressor_config_t config_{};
  mutable std::mutex mutex_;
  mutable std::vector<Handle> idle_;
};

}  // namespace

std::unique_ptr<const Decompressor> Decompressor::Create(Compression compression,
                                                         uint32_t block_size) {
  switch (compression) {
    case Compression::kZstd:
      return std::make_unique<ZstdDecompressor>();
    case Compression::kGzip:
    case Compression::kXz:
    case Compression::kLz4:
      return std::make_unique<SquashfsDecompressor>(compression, block_size);
    default:
      throw Error(
          ErrorKind::kUnsupported,
          "is compressed with " + CompressionName(compression) + ", expected gzip, xz, lz4 or zstd",
          "Convert it: unsquashfs FILE, then firn build squashfs-root -o IMAGE");
  }
}

}  // namespace firn
