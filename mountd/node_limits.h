#ifndef FIRN_MOUNTD_NODE_LIMITS_H_
#define FIRN_MOUNTD_NODE_LIMITS_H_

#include <cstddef>

#include "mountd/lease_table.h"

namespace firn {

// What the users of a node's firnd may have of it. Root is bound by `clients` alone.
struct NodeLimits {
  size_t images_per_user = 256;  // that are leased, and of those that linger after
  size_t owners_per_user = 16;   // of those images: each takes a pool with a worker
  size_t leases_per_user = LeaseTable::kMostOfUser;
  size_t clients_per_user = 256;
  size_t clients = 1024;  // of all users
};

// Lets the caller have as many descriptors as it may have at all: leases and clients take one or
// two each.
void RaiseDescriptorLimit();

}  // namespace firn

#endif  // FIRN_MOUNTD_NODE_LIMITS_H_
