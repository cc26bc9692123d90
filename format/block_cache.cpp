#include "format/block_cache.h"

#include <algorithm>

namespace firn {
namespace {

// What a block that is held takes besides its bytes, about: of many small ones it is the most.
constexpr size_t kUpkeep = 256;

// splitmix64's finaliser: neighbouring offsets land in different shards and buckets.
uint64_t Mix(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
  return value ^ (value >> 31);
}

}  // namespace

size_t BlockCache::KeyHash::operator()(const BlockKey& key) const {
  const uint64_t space = uint64_t{key.image} << 8 | static_cast<uint64_t>(key.kind);
  return Mix(Mix(space) + key.position);
}

std::map<std::string, uint64_t> BlockCacheCounters::DecodedByKind() const {
  constexpr const char* kNames[kBlockKinds] = {"data", "fragment", "metadata", "block_map", "page"};
  std::map<std::string, uint64_t> counts;
  for (size_t kind = 0; kind < kBlockKinds; ++kind) counts[kNames[kind]] = decoded[kind].load();
  return counts;
}

BlockCache::BlockCache(size_t capacity_bytes, BlockCacheCounters* counters)
    : shard_capacity_(std::max<size_t>(capacity_bytes / kShards, 1)),
      counters_(counters != nullptr ? *counters : own_counters_) {
  counters_.bytes.store(0);  // those of a cache before this one are gone
}

BlockCache::Shard& BlockCache::ShardOf(const BlockKey& key) {
  return shards_[(KeyHash{}(key) >> 32) % kShards];
}

std::shared_ptr<const Block> BlockCache::Get(const BlockKey& key, const Decoder& decode) {
  Shard& shard = ShardOf(key);
  std::shared_ptr<Flight> flight;
  {
    std::unique_lock lock(shard.mutex);
    if (const auto found = shard.residents.find(key); found != shard.residents.end()) {
      counters_.hits.fetch_add(1, std::memory_order_relaxed);
      shard.recent.splice(shard.recent.begin(), shard.recent, found->second);
      return found->second->block;
    }
    if (const auto found = shard.flights.find(key); found != shard.flights.end()) {
      counters_.hits.fetch_add(1, std::memory_order_relaxed);
      flight = found->second;
      shard.landed.wait(lock, [&] { return flight->done; });
      if (flight->error) std::rethrow_exception(flight->error);
      return flight->block;
    }
    flight = std::make_shared<Flight>();
    shard.flights.emplace(key, flight);
  }

  // Whatever happens, the flight must land: others wait for it.
  std::shared_ptr<const Block> block;
  std::exception_ptr error;
  try {
    block = decode();
    counters_.decoded[static_cast<size_t>(key.kind)].fetch_add(1, std::memory_order_relaxed);
  } catch (...) {
    error = std::current_exception();
  }
  {
    const std::lock_guard lock(shard.mutex);
    flight->done = true;
    flight->block = block;
    flight->error = error;
    shard.flights.erase(key);
    if (block) Insert(shard, key, block);
  }
  shard.landed.notify_all();
  if (error) std::rethrow_exception(error);
  return block;
}

void BlockCache::Insert(Shard& shard, const BlockKey& key,
                        const std::shared_ptr<const Block>& block) {
  shard.recent.push_front({key, block});
  shard.residents[key] = shard.recent.begin();
  uint64_t freed = 0;
  shard.bytes += block->bytes().size() + kUpkeep;
  // The newest stays even where it alone exceeds the bound: its readers are about to share it.
  while (shard.bytes > shard_capacity_ && shard.recent.size() > 1) {
    const Resident& oldest = shard.recent.back();
    freed += oldest.block->bytes().size();
    shard.bytes -= oldest.block->bytes().size() + kUpkeep;
    shard.residents.erase(oldest.key);
    shard.recent.pop_back();
  }
  counters_.bytes.fetch_add(block->bytes().size() - freed, std::memory_order_relaxed);
}

BlockCache::Statistics BlockCache::statistics() const {
  Statistics statistics;
  for (size_t kind = 0; kind < kBlockKinds; ++kind) {
    statistics.decoded[kind] = counters_.decoded[kind].load(std::memory_order_relaxed);
  }
  statistics.hits = counters_.hits.load(std::memory_order_relaxed);
  statistics.capacity = shard_capacity_ * kShards;
  statistics.bytes = counters_.bytes.load(std::memory_order_relaxed);
  return statistics;
}

}  // namespace firn
