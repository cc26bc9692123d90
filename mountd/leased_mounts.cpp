#include "mountd/leased_mounts.h"

#include <sys/mount.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <set>
#include <vector>

#include "mountd/log.h"
#include "mountd/mount_table.h"

namespace firn {

void UnmountLeased(const std::list<Lease>& leases) {
  const std::vector<MountEntry> table = ReadMountTable();
  std::set<uint64_t> seen;
  for (const Lease& lease : leases) {
    // A mount that shows several images leases each.
    if (lease.kind != LeaseKind::kMount || !seen.insert(lease.mount_id).second) continue;
    const auto mounted = std::ranges::find(table, lease.mount_id, &MountEntry::id);
    if (mounted == table.end()) continue;
    const std::string& target = mounted->target;
    // By its path only what lies on top is reached.
    if (FindMount(table, target)->id != lease.mount_id) {
      LogWarning("{}: another mount covers the image; that stays", target);
    } else if (umount2(target.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) {
      LogWarning("{}: cannot be unmounted: {}", target, std::strerror(errno));
    }
  }
}

}  // namespace firn
