// The mounts that the node's firnd makes for ordinary users, who could not: see placer.h.
#include <linux/magic.h>
#include <sys/socket.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "mountd/log.h"
#include "mountd/mount_rules.h"
#include "mountd/node_daemon.h"

namespace firn {
namespace {

using nlohmann::json;

// As the kernel noted them when the client connected.
Identity UserOf(const WorkerChannel& channel, const ucred& peer) {
  Identity identity{.uid = peer.uid, .gid = peer.gid, .groups = {}};
  socklen_t length = 0;
  if (getsockopt(channel.fd(), SOL_SOCKET, SO_PEERGROUPS, nullptr, &length) == 0 ||
      errno != ERANGE) {
    return identity;
  }
  identity.groups.resize(length / sizeof(gid_t));
  if (getsockopt(channel.fd(), SOL_SOCKET, SO_PEERGROUPS, identity.groups.data(), &length) != 0) {
    throw SystemError(ErrorKind::kSystem, errno, "cannot tell the groups of a client");
  }
  return identity;
}

// Who serves an image from a FUSE file system of his own could have everybody wait who looks at it.
void CheckMayShowToOthers(const ShownImage& image, const FuseConf& conf) {
  struct statfs system {};
  if (conf.user_allow_other || (fstatfs(image.file.get(), &system) == 0 &&
                                static_cast<uint32_t>(system.f_type) != FUSE_SUPER_MAGIC)) {
    return;
  }
  throw Error(ErrorKind::kSystem, "an image on a FUSE file system is shown to its user alone",
              "user_allow_other in /etc/fuse.conf has it shown to everybody.")
      .WithPath(image.path);
}

PlacerOptions UnmountBy(Identity user, uint64_t mount_id, const std::string& target, bool lazy) {
  PlacerOptions options;
  options.user = std::move(user);
  options.mount_id = mount_id;
  options.target = target;
  options.lazy = lazy;
  return options;
}

const MountEntry* FindMountId(const std::vector<MountEntry>& table, uint64_t id) {
  const auto found =
      std::ranges::find_if(table, [id](const MountEntry& entry) { return entry.id == id; });
  return found == table.end() ? nullptr : &*found;
}

}  // namespace

void NodeDaemon::CheckMayPlace(const Client& client, LeaseKind lease) const {
  if (!socket_.is_system() || lease != LeaseKind::kMount) {
    throw Error(ErrorKind::kUsage, "only root's firnd mounts for others, as a lease of kind mount");
  }
  if (client.peer.uid == 0) return;
  // Of several images that are shown as one, each is leased by the mount.
  std::set<uint64_t> mounts;
  for (const Lease& other : leases_.leases()) {
    if (other.kind == LeaseKind::kMount && other.holder != 0) mounts.insert(other.mount_id);
  }
  const FuseConf conf = ReadFuseConf();
  if (conf.mount_max < 0 || mounts.size() < static_cast<size_t>(conf.mount_max)) return;
  throw Error(ErrorKind::kSystem,
              "users have " + std::to_string(mounts.size()) + " mounts, as many as they may",
              "mount_max in /etc/fuse.conf says how many; unmount some.");
}

void NodeDaemon::CheckMayShow(const Client& client, const ShownImage& image) const {
  if (client.peer.uid != 0) CheckMayShowToOthers(image, ReadFuseConf());
}

void NodeDaemon::Place(const ClientPointer& client, FileDescriptor view, const json& answer) try {
  PlacerOptions options;
  options.user = UserOf(client->channel, client->peer);
  options.view_fd = view.get();
  options.target_fd = client->target.get();
  options.target = client->unplaced.front().name;
  placers_.Start(options,
                 [this, client, answer](uint64_t mount_id, const std::exception_ptr& error) {
                   if (error) {
                     client->unplaced.clear();
                     FinishWithError(client, error);
                   } else {
                     TakePlaced(client, mount_id, answer);
                   }
                 });
  client->target.Close();
} catch (const Error&) {
  FinishWithError(client, std::current_exception());
}

void NodeDaemon::TakePlaced(const ClientPointer& client, uint64_t mount_id, json answer) {
  std::vector<Lease> leases = std::exchange(client->unplaced, {});
  const std::vector<MountEntry> table = ReadMountTable();
  // The kernel's word for it, not the client's.
  const MountEntry* const entry = FindMountId(table, mount_id);
  const std::string target = entry != nullptr ? entry->target : leases.front().name;
  answer["mount_id"] = mount_id;
  answer["mount_point"] = target;
  LogInfo("mounted an image at {} for uid {}", target, client->peer.uid);
  try {
    for (Lease& lease : leases) {
      lease.mount_id = mount_id;
      lease.name = target;
      leases_.Add(std::move(lease));
    }
  } catch (const Error&) {
    placers_.Start(UnmountBy(UserOf(client->channel, client->peer), mount_id, target,
                             /*lazy=*/true),
                   [](uint64_t, const std::exception_ptr&) {});
    throw;
  }
  Finish(client, answer);
}

void NodeDaemon::Unmount(const ClientPointer& client, const json& request) {
  const uint64_t id = request.at("mount_id").get<uint64_t>();
  const auto lease = std::ranges::find_if(leases_.leases(), [id](const Lease& other) {
    return other.kind == LeaseKind::kMount && other.mount_id == id;
  });
  const std::vector<MountEntry> table = ReadMountTable();
  const MountEntry* const entry = FindMountId(table, id);
  // Numbers are used again, so that it may have come to be another mount's.
  const bool is_known = lease != leases_.leases().end() && entry != nullptr && entry->IsFirn() &&
                        entry->target == lease->name;
  if (!is_known) {
    throw Error(ErrorKind::kUsage, "firnd has not mounted this");
  }
  if (client->peer.uid != 0 && client->peer.uid != lease->holder) {
    throw Error(
        ErrorKind::kMountPoint,
        "this mount is not yours to unmount: uid " + std::to_string(lease->holder) + " mounted it",
        "Its owner or root may.")
        .WithPath(entry->target);
  }
  placers_.Start(UnmountBy(UserOf(client->channel, client->peer), id, entry->target,
                           request.value("lazy", false)),
                 [this, client](uint64_t, const std::exception_ptr& error) {
                   if (error) {
                     FinishWithError(client, error);
                   } else {
                     leases_.EndMounts(ReadMountTable());
                     Finish(client, {{"ok", true}});
                   }
                 });
  client->is_waiting = true;
}

}  // namespace firn
