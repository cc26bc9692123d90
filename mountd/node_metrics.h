#ifndef FIRN_MOUNTD_NODE_METRICS_H_
#define FIRN_MOUNTD_NODE_METRICS_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>

#include "mountd/lease_table.h"
#include "mountd/pool.h"
#include "mountd/pool_counts.h"

namespace firn {

// What the firnd of a node counts of its clients since it started.
struct ClientCounts {
  uint64_t connections = 0;
  uint64_t refused = 0;  // of those: there were too many
  uint64_t attached = 0;
  uint64_t attach_failures = 0;
};

// What metrics are made of; refers to what firnd has.
struct NodeCounts {
  std::chrono::system_clock::time_point started;
  std::chrono::steady_clock::duration uptime{};
  const ClientCounts& clients;
  size_t connected = 0;
  const std::list<Lease>& leases;
  const std::map<TrustDomain, std::unique_ptr<Pool>>& pools;
  const PoolCounts& retired;  // of pools that are gone
};

enum class MetricsDetail {
  kAll,  // each pool and each image; for root's eyes
  kSums  // nothing that tells one user what another has
};

// The metrics in Prometheus' text format, by the names in firnd(8).
std::string NodeMetricsText(const NodeCounts& counts, MetricsDetail detail);

}  // namespace firn

#endif  // FIRN_MOUNTD_NODE_METRICS_H_
