#include "mountd/leased_mounts.h"

#include <sys/mount.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "mountd/log.h"
#include "mountd/mount_table.h"

namespace firn {

void UnmountLeased(const std::list<Lease>& leases) {
  const std::vector<MountEntry> table = ReadMountTable();
  for (const Lease& lease : leases) {
    if (lease.kind != LeaseKind::kMount) continue;
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
