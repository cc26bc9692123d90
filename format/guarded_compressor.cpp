#include "format/guarded_compressor.h"

#include <sqfs/error.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <new>
#include <string>
#include <utility>

#include "format/error.h"

namespace firn {
namespace {

GuardedCompressor& Self(sqfs_compressor_t* compressor) {
  return *static_cast<GuardedCompressor*>(compressor);
}
const GuardedCompressor& Self(const sqfs_compressor_t* compressor) {
  return *static_cast<const GuardedCompressor*>(compressor);
}

std::unique_ptr<GuardedCompressor> Wrap(SqfsHandle<sqfs_compressor_t> inner, uint32_t block_size,
                                        int level, std::shared_ptr<std::atomic<int>> failure);

// nullptr where memory is short.
ZstdContext MakeContext(uint32_t block_size, int level) {
  ZstdContext context(ZSTD_createCCtx());
  if (!context) return nullptr;
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level);
  // ZSTD_c_useBlockSplitter in zstd.h's part without promises. Levels up to 15 do not cut what
  // they found where the statistics change, though that takes 1 % off for next to no time. A
  // library that knows the parameter no more just packs less.
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_experimentalParam13, 1);
  // For 1 MiB these levels take a hash table of 8 MiB, in no processor's nearest caches; a quarter
  // of it packs 0.2 % less in 60 % of the time (docs/image-defaults.md).
  constexpr int kHashLog = 19;
  if (block_size >= (1u << 20) && level >= 7 && level <= 12) {
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_hashLog, kHashLog);
  }
  return context;
}

// Returns the length of the frame, 0 where it would be no smaller than the block.
sqfs_s32 CompressBlock(ZSTD_CCtx* context, const sqfs_u8* in, sqfs_u32 size, sqfs_u8* out,
                       sqfs_u32 out_size) {
  const size_t length = ZSTD_compress2(context, out, out_size, in, size);
  if (ZSTD_isError(length) != 0) {
    return ZSTD_getErrorCode(length) == ZSTD_error_dstSize_tooSmall ? 0
                                                                    : int{SQFS_ERROR_COMPRESSOR};
  }
  return length < size ? static_cast<sqfs_s32>(length) : 0;
}

void Destroy(sqfs_object_t* object) {
  const std::unique_ptr<GuardedCompressor> ended(reinterpret_cast<GuardedCompressor*>(object));
}

sqfs_object_t* Copy(const sqfs_object_t* object) {
  const auto& self = *reinterpret_cast<const GuardedCompressor*>(object);
  SqfsHandle<sqfs_compressor_t> inner(static_cast<sqfs_compressor_t*>(sqfs_copy(self.inner.get())));
  if (!inner) return nullptr;
  return reinterpret_cast<sqfs_object_t*>(
      Wrap(std::move(inner), self.block_size, self.level, self.failure).release());
}

std::unique_ptr<GuardedCompressor> Wrap(SqfsHandle<sqfs_compressor_t> inner, uint32_t block_size,
                                        int level, std::shared_ptr<std::atomic<int>> failure) {
  auto made = std::make_unique<GuardedCompressor>();
  made->block_size = block_size;
  made->level = level;
  made->context = MakeContext(block_size, level);
  if (!made->context) return nullptr;
  made->inner = std::move(inner);
  made->failure = std::move(failure);
  made->base.destroy = Destroy;
  made->base.copy = Copy;
  made->get_configuration = [](const sqfs_compressor_t* compressor,
                               sqfs_compressor_config_t* config) {
    const sqfs_compressor_t* wrapped = Self(compressor).inner.get();
    wrapped->get_configuration(wrapped, config);
  };
  made->write_options = [](sqfs_compressor_t* compressor, sqfs_file_t* file) {
    sqfs_compressor_t* wrapped = Self(compressor).inner.get();
    return wrapped->write_options(wrapped, file);
  };
  made->read_options = [](sqfs_compressor_t* compressor, sqfs_file_t* file) {
    sqfs_compressor_t* wrapped = Self(compressor).inner.get();
    return wrapped->read_options(wrapped, file);
  };
  made->do_block = [](sqfs_compressor_t* compressor, const sqfs_u8* in, sqfs_u32 size, sqfs_u8* out,
                      sqfs_u32 out_size) -> sqfs_s32 {
    GuardedCompressor& self = Self(compressor);
    const sqfs_s32 result = CompressBlock(self.context.get(), in, size, out, out_size);
    if (result >= 0) return result;
    self.failure->store(result);
    return 0;
  };
  return made;
}

}  // namespace

SqfsHandle<GuardedCompressor> MakeCompressor(uint32_t block_size, int level) {
  sqfs_compressor_config_t config;
  int status = sqfs_compressor_config_init(&config, SQFS_COMP_ZSTD, block_size, 0);
  sqfs_compressor_t* made = nullptr;
  if (status == 0) {
    config.level = static_cast<sqfs_u32>(level);
    status = sqfs_compressor_create(&config, &made);
  }
  if (status == SQFS_ERROR_ALLOC) throw std::bad_alloc();
  if (status != 0) {
    throw Error(ErrorKind::kInternal,
                "libsquashfs makes no zstd compressor of level " + std::to_string(level));
  }
  std::unique_ptr<GuardedCompressor> guarded = Wrap(SqfsHandle<sqfs_compressor_t>(made), block_size,
                                                    level, std::make_shared<std::atomic<int>>(0));
  if (!guarded) throw std::bad_alloc();
  return SqfsHandle<GuardedCompressor>(guarded.release());
}

void FreeZstdContext::operator()(ZSTD_CCtx_s* context) const { ZSTD_freeCCtx(context); }

void CheckCompressor(const GuardedCompressor& compressor) {
  if (compressor.failure->load() == 0) return;
  throw Error(ErrorKind::kInternal, "cannot compress: zstd failed, most likely for want of memory",
              "Give the build more memory (ulimit -v), fewer --jobs or a lower --level.");
}

}  // namespace firn
