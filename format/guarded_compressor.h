#ifndef FIRN_FORMAT_GUARDED_COMPRESSOR_H_
#define FIRN_FORMAT_GUARDED_COMPRESSOR_H_

#include <sqfs/compressor.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "format/squashfs_output.h"

struct ZSTD_CCtx_s;

namespace firn {

struct FreeZstdContext {
  void operator()(ZSTD_CCtx_s* context) const;
};
using ZstdContext = std::unique_ptr<ZSTD_CCtx_s, FreeZstdContext>;

// libsquashfs' zstd compressor with parameters of our own, made safe for the block processor: there
// a failed compression (out of memory under `ulimit -v`) ends the workers, and who waits for their
// blocks waits for ever. Here such a block counts as incompressible, and the failure is kept for
// CheckCompressor().
struct GuardedCompressor : sqfs_compressor_t {
  uint32_t block_size = 0;
  int level = 0;
  ZstdContext context;
  SqfsHandle<sqfs_compressor_t> inner;
  std::shared_ptr<std::atomic<int>> failure;  // shared with the copies that the workers use
};

SqfsHandle<GuardedCompressor> MakeCompressor(uint32_t block_size, int level);

// Throws if the compressor or one of its copies failed at any block so far.
void CheckCompressor(const GuardedCompressor& compressor);

}  // namespace firn

#endif  // FIRN_FORMAT_GUARDED_COMPRESSOR_H_
