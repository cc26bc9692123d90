#ifndef FIRN_FORMAT_METADATA_H_
#define FIRN_FORMAT_METADATA_H_

#include <concepts>
#include <cstdint>
#include <memory>
#include <vector>

#include "format/block_cache.h"
#include "format/byte_source.h"
#include "format/decompressor.h"
#include "format/inode.h"
#include "format/little_endian.h"
#include "format/superblock.h"
#include "format/types.h"

namespace firn {

// What reading decoded metadata needs; the parts are borrowed.
struct MetadataContext {
  const ByteSource* source = nullptr;
  const Decompressor* decompressor = nullptr;
  BlockCache* cache = nullptr;
  uint32_t image_number = 0;
};

// A run of metadata blocks in [start, limit) of the file. Thread-safe.
class MetadataTable {
 public:
  MetadataTable(MetadataContext context, uint64_t start, uint64_t limit)
      : context_(context), start_(start), limit_(limit) {}

  uint64_t start() const { return start_; }
  uint64_t limit() const { return limit_; }
  // The decoded block that stands `block` bytes behind the start. Throws kDamaged.
  std::shared_ptr<const Block> ReadBlock(uint64_t block) const;

 private:
  std::shared_ptr<const Block> DecodeBlock(uint64_t offset) const;

  MetadataContext context_;
  uint64_t start_;
  uint64_t limit_;
};

// Reads the decoded stream of a table forwards. Not thread-safe; make one where it is needed.
class MetadataCursor {
 public:
  // Throws kDamaged where the position does not exist.
  MetadataCursor(const MetadataTable& table, MetadataPosition position);

  void Read(MutableByteSpan out);
  void Skip(uint64_t bytes);
  // Is there another byte in the table? Where a block ends, position() is then the next one's
  // start.
  bool HasMore();
  MetadataPosition position() const { return {block_start_, offset_}; }

  template <std::unsigned_integral T>
  T ReadNumber() {
    std::byte bytes[sizeof(T)];
    Read(bytes);
    return LoadLe<T>(bytes);
  }

 private:
  // Makes at least one byte of the current block readable.
  void Advance();

  const MetadataTable& table_;
  uint64_t block_start_;
  uint32_t offset_;
  std::shared_ptr<const Block> block_;
};

// A table of fixed-size entries in metadata blocks of its own, found through an array of the
// blocks' offsets: the fragment, export and id tables. Thread-safe.
class IndexedTable {
 public:
  // `start`: where the array of offsets stands. Nothing is read yet.
  IndexedTable(MetadataContext context, uint64_t start, uint64_t count, uint32_t entry_length);

  uint64_t count() const { return count_; }
  // Fills `out`, of the entry length. Throws kDamaged where `index` is out of range.
  void ReadEntry(uint64_t index, MutableByteSpan out) const;

 private:
  uint64_t BlockOffset(uint64_t block) const;

  MetadataContext context_;
  MetadataTable blocks_;
  uint64_t start_;
  uint64_t count_;
  uint32_t entry_length_;
};

}  // namespace firn

#endif  // FIRN_FORMAT_METADATA_H_
