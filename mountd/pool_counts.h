#ifndef FIRN_MOUNTD_POOL_COUNTS_H_
#define FIRN_MOUNTD_POOL_COUNTS_H_

#include <cstdint>
#include <map>
#include <string>

namespace firn {

class Pool;

// What a pool has counted since it is there, and what it holds now.
struct PoolCounts {
  std::map<std::string, uint64_t> requests{};  // by opcode
  std::map<std::string, uint64_t> errors{};    // by cause
  std::map<std::string, uint64_t> decoded{};   // blocks, by kind
  uint64_t bytes_read = 0;
  uint64_t cache_hits = 0;
  uint64_t restarts = 0;  // of the worker

  uint64_t pools = 0;  // that these are of; from here on numbers of now
  uint64_t workers = 0;
  uint64_t worker_resident = 0;  // bytes
  uint64_t cache_bytes = 0;
  uint64_t cache_capacity = 0;
  std::map<std::string, uint64_t> images{};  // by stage

  // The counts alone, without what is held now: of a pool that is gone.
  PoolCounts Retired() const;
  PoolCounts& operator+=(const PoolCounts& other);
};

PoolCounts CountsOf(const Pool& pool);

// Bytes of a process's memory that are resident; 0 where it is gone.
uint64_t ResidentBytesOf(int pid);

}  // namespace firn

#endif  // FIRN_MOUNTD_POOL_COUNTS_H_
