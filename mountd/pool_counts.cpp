#include "mountd/pool_counts.h"

#include <unistd.h>

#include <fstream>

#include "mountd/pool.h"

namespace firn {
namespace {

void AddEach(std::map<std::string, uint64_t>& to, const std::map<std::string, uint64_t>& from) {
  for (const auto& [name, count] : from) to[name] += count;
}

}  // namespace

PoolCounts PoolCounts::Retired() const {
  return {.requests = requests,
          .errors = errors,
          .decoded = decoded,
          .bytes_read = bytes_read,
          .cache_hits = cache_hits,
          .restarts = restarts};
}

PoolCounts& PoolCounts::operator+=(const PoolCounts& other) {
  AddEach(requests, other.requests);
  AddEach(errors, other.errors);
  AddEach(decoded, other.decoded);
  bytes_read += other.bytes_read;
  cache_hits += other.cache_hits;
  restarts += other.restarts;
  pools += other.pools;
  workers += other.workers;
  worker_resident += other.worker_resident;
  cache_bytes += other.cache_bytes;
  cache_capacity += other.cache_capacity;
  AddEach(images, other.images);
  return *this;
}

PoolCounts CountsOf(const Pool& pool) {
  const SupervisedWorker& worker = pool.worker();
  const SessionState& state = worker.state();
  PoolCounts counts{.requests = state.requests.Snapshot(),
                    .errors = state.errors.Snapshot(),
                    .decoded = state.cache.DecodedByKind(),
                    .bytes_read = state.bytes_read.load(),
                    .cache_hits = state.cache.hits.load(),
                    .restarts = worker.restarts(),
                    .pools = 1,
                    .workers = worker.pid() > 0 ? 1u : 0u,
                    .worker_resident = ResidentBytesOf(worker.pid()),
                    .cache_bytes = state.cache.bytes.load(),
                    .cache_capacity = pool.settings().cache_bytes};
  for (const Share::Stage stage : kShareStages) counts.images[std::string(NameOf(stage))] = 0;
  for (const auto& [number, share] : pool.shares()) {
    ++counts.images[std::string(NameOf(share.stage))];
  }
  return counts;
}

uint64_t ResidentBytesOf(int pid) {
  if (pid <= 0) return 0;
  std::ifstream statm("/proc/" + std::to_string(pid) + "/statm");
  uint64_t total = 0;
  uint64_t resident = 0;
  if (!(statm >> total >> resident)) return 0;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace firn
