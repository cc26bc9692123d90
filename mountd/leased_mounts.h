#ifndef FIRN_MOUNTD_LEASED_MOUNTS_H_
#define FIRN_MOUNTD_LEASED_MOUNTS_H_

#include <list>

#include "mountd/lease_table.h"

namespace firn {

// Takes the mounts of those leases out of the caller's mount namespace, in use or not: for when
// nobody is left to answer there. One that cannot be is logged.
void UnmountLeased(const std::list<Lease>& leases);

}  // namespace firn

#endif  // FIRN_MOUNTD_LEASED_MOUNTS_H_
