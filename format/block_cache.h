#ifndef FIRN_FORMAT_BLOCK_CACHE_H_
#define FIRN_FORMAT_BLOCK_CACHE_H_

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "format/types.h"

namespace firn {

// Decoded bytes, shared by everybody who reads them. Immutable once in a cache.
class Block {
 public:
  explicit Block(size_t capacity)
      : bytes_(std::make_unique_for_overwrite<std::byte[]>(capacity)), size_(capacity) {}

  ByteSpan bytes() const { return {bytes_.get(), size_}; }
  MutableByteSpan writable() { return {bytes_.get(), size_}; }
  // Decoding may give less than was allocated.
  void Shrink(size_t size) { size_ = size; }

  // For a metadata block: how many bytes it takes in the image, its header included.
  uint32_t stored_length = 0;

 private:
  std::unique_ptr<std::byte[]> bytes_;
  size_t size_;
};

// kBlockMap: what was worked out of an inode, a file's map of blocks or a directory's faults.
enum class BlockKind : uint8_t { kData, kFragment, kMetadata, kBlockMap, kPage };
inline constexpr size_t kBlockKinds = 5;

struct BlockKey {
  uint32_t image = 0;  // number of the image among those that share the cache
  BlockKind kind = BlockKind::kData;
  uint64_t position = 0;  // meaning depends on kind: an offset, or a number

  bool operator==(const BlockKey&) const = default;
};

// What a cache counts. May lie in memory that outlives it and that another process reads.
struct BlockCacheCounters {
  std::array<std::atomic<uint64_t>, kBlockKinds> decoded{};  // blocks, by BlockKind
  std::atomic<uint64_t> hits{0};                             // found, or waited for
  std::atomic<uint64_t> bytes{0};                            // held now

  // Blocks decoded, by the name of their kind.
  std::map<std::string, uint64_t> DecodedByKind() const;
};

// A cache of decoded blocks, sharded, bounded in bytes, with single flight: however many threads
// ask for a block at once, one decodes it, the others wait for that one alone. Decoding happens
// outside every lock. Least recently used blocks go first; one that somebody still holds stays
// alive with its holder, outside the bound. Thread-safe.
class BlockCache {
 public:
  using Decoder = std::function<std::shared_ptr<const Block>()>;

  struct Statistics {
    std::array<uint64_t, kBlockKinds> decoded{};  // blocks, by BlockKind
    uint64_t hits = 0;                            // found, or waited for
    uint64_t bytes = 0;                           // held now
    uint64_t capacity = 0;
  };

  // `counters`, where given, outlives the cache.
  explicit BlockCache(size_t capacity_bytes, BlockCacheCounters* counters = nullptr);

  // The block, decoded by `decode` where it is not there. What `decode` throws reaches everybody
  // who waited for it; nothing is remembered of it, so the next one tries again.
  std::shared_ptr<const Block> Get(const BlockKey& key, const Decoder& decode);

  Statistics statistics() const;

 private:
  static constexpr size_t kShards = 16;

  struct KeyHash {
    size_t operator()(const BlockKey& key) const;
  };
  struct Flight {  // a decoding under way
    bool done = false;
    std::shared_ptr<const Block> block;
    std::exception_ptr error;
  };
  struct Resident {
    BlockKey key;
    std::shared_ptr<const Block> block;
  };
  struct Shard {
    mutable std::mutex mutex;
    std::condition_variable landed;
    std::list<Resident> recent;  // most recently used first
    std::unordered_map<BlockKey, std::list<Resident>::iterator, KeyHash> residents;
    std::unordered_map<BlockKey, std::shared_ptr<Flight>, KeyHash> flights;
    size_t bytes = 0;  // with what it takes to hold them
  };

  Shard& ShardOf(const BlockKey& key);
  void Insert(Shard& shard, const BlockKey& key, const std::shared_ptr<const Block>& block);

  const size_t shard_capacity_;
  std::array<Shard, kShards> shards_;
  BlockCacheCounters own_counters_;
  BlockCacheCounters& counters_;
};

}  // namespace firn

#endif  // FIRN_FORMAT_BLOCK_CACHE_H_
