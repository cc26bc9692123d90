#ifndef FIRN_FORMAT_SUPERBLOCK_H_
#define FIRN_FORMAT_SUPERBLOCK_H_

#include <cstdint>
#include <string>

#include "format/types.h"

namespace firn {

class ByteSource;

inline constexpr size_t kSuperblockLength = 96;
inline constexpr uint64_t kNoTable = ~uint64_t{0};
inline constexpr size_t kMetadataBlockSize = 8192;  // decoded

// Numbers of SquashFS 4.0 (squashfs_fs.h of the Linux kernel).
enum class Compression : uint16_t { kGzip = 1, kLzma, kLzo, kXz, kLz4, kZstd };

std::string CompressionName(Compression compression);

struct Superblock {
  uint32_t inode_count = 0;
  uint32_t mtime = 0;
  uint32_t block_size = 0;
  uint32_t fragment_count = 0;
  Compression compression = Compression::kZstd;
  uint16_t flags = 0;
  uint16_t id_count = 0;
  InodeReference root{};
  uint64_t bytes_used = 0;
  // Offsets in the file; kNoTable where there is none.
  uint64_t id_table = kNoTable;
  uint64_t xattr_table = kNoTable;
  uint64_t inode_table = kNoTable;
  uint64_t directory_table = kNoTable;
  uint64_t fragment_table = kNoTable;
  uint64_t export_table = kNoTable;

  // `bytes`: the first kSuperblockLength bytes of the file. Throws kDamaged, also where tables lie
  // outside the file or cannot hold what is said to be in them; kUnsupported for another version
  // of SquashFS.
  static Superblock Decode(ByteSpan bytes, uint64_t file_length);
  // Throws as Decode() and as the source does.
  static Superblock Read(const ByteSource& source, uint64_t file_length);
};

// More bytes than metadata blocks that take `stored` bytes decode to cannot be there: what counts
// and lengths that an image claims are held against.
uint64_t MostDecodedMetadata(uint64_t stored);

// Is this the head of a SquashFS file at all? Throws kDamaged with what it looks like instead.
void CheckSquashfsHead(ByteSpan head, uint64_t file_length);

}  // namespace firn

#endif  // FIRN_FORMAT_SUPERBLOCK_H_
