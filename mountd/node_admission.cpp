// Which requests of users a node's firnd takes: its limits.
#include <sys/resource.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "mountd/log.h"
#include "mountd/node_daemon.h"

namespace firn {
namespace {

Error LimitError(const std::string& message, const char* key, const std::string& remedy) {
  return Error(ErrorKind::kSystem, message + " (limits: " + key + " in firnd.yaml)", remedy);
}

std::string UserHas(uid_t user, size_t count) {
  return "uid " + std::to_string(user) + " has " + std::to_string(count) + " ";
}

}  // namespace

void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) LogWarning("the limit on open files stays as it is");
}

void NodeDaemon::CheckClientLimit(uid_t user) const {
  const NodeLimits& limits = options_.limits;
  if (clients_.size() >= limits.clients) {
    throw LimitError(
        "firnd has " + std::to_string(clients_.size()) + " clients, as many as it takes", "clients",
        "Try again in a moment.");
  }
  const auto of_user = static_cast<size_t>(std::ranges::count_if(
      clients_, [&](const ClientPointer& client) { return client->peer.uid == user; }));
  if (user == 0 || of_user < limits.clients_per_user) return;
  throw LimitError(UserHas(user, of_user) + "connections to firnd, as many as a user may",
                   "clients_per_user", "Try again in a moment.");
}

const Share* NodeDaemon::FindShare(ShareNumber number, TrustDomain* domain) const {
  for (const auto& [owner, pool] : pools_) {
    const auto found = pool->shares().find(number);
    if (found == pool->shares().end()) continue;
    *domain = owner;
    return &found->second;
  }
  return nullptr;
}

// What the user leases and what it waits for, as if each file of the latter were an image of its
// own, is counted against the limits. The one that is asked for is not counted twice.
void NodeDaemon::CheckImageLimits(uid_t user, const struct stat& shown, const TrustDomain& domain) {
  if (user == 0) return;
  std::set<ShareNumber> held;
  for (const Lease& lease : leases_.leases()) {
    if (lease.holder == user) held.insert(lease.share);
  }
  std::set<TrustDomain> owners;
  for (const ShareNumber number : held) {
    TrustDomain owner;
    const Share* const share = FindShare(number, &owner);
    if (share == nullptr) continue;
    if (share->IsOf(shown)) return;
    owners.insert(owner);
  }
  std::set<std::pair<dev_t, ino_t>> awaited;
  for (const ClientPointer& client : clients_) {
    if (client->peer.uid != user || !client->awaited) continue;
    awaited.emplace(client->awaited->st_dev, client->awaited->st_ino);
    owners.insert(client->awaited_domain);
  }
  if (awaited.contains({shown.st_dev, shown.st_ino})) return;
  const NodeLimits& limits = options_.limits;
  const size_t images = held.size() + awaited.size();
  if (images >= limits.images_per_user) {
    throw LimitError(UserHas(user, images) + "images attached, as many as a user may",
                     "images_per_user", "Detach some, or use --no-daemon.");
  }
  if (!owners.contains(domain) && owners.size() >= limits.owners_per_user) {
    throw LimitError(
        UserHas(user, owners.size()) + "owners' images attached, as many as a user may",
        "owners_per_user", "Detach those of one owner, or use --no-daemon.");
  }
  DetachLingering(user, limits.images_per_user - images - 1);
}

// What lingers after its last user goes, the longest unused first, until no more than `most` are
// left.
void NodeDaemon::DetachLingering(uid_t user, size_t most) {
  std::vector<std::pair<Clock::time_point, ShareNumber>> lingering;
  for (const auto& [number, since] : unused_since_) {
    const auto last = last_holders_.find(number);
    if (last != last_holders_.end() && last->second == user) lingering.emplace_back(since, number);
  }
  std::ranges::sort(lingering);
  for (size_t index = 0; index + most < lingering.size(); ++index) {
    const ShareNumber number = lingering[index].second;
    TrustDomain owner;
    if (FindShare(number, &owner) == nullptr) continue;
    unused_since_.erase(number);
    pools_.at(owner)->Detach(number);
  }
}

}  // namespace firn
