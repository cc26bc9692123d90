// What the node's firnd says of itself.

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "firn_version.h"
#include "mountd/node_daemon.h"

namespace firn {
namespace {

using nlohmann::json;

json StatusOfLease(const Lease& lease) {
  json status = {{"kind", ToString(lease.kind)},
                 {"uid", lease.holder},
                 {"pid", lease.pid},
                 {"since", std::chrono::system_clock::to_time_t(lease.since)}};
  if (!lease.name.empty()) status["name"] = lease.name;
  return status;
}

}  // namespace

bool NodeDaemon::MaySee(ShareNumber share, uid_t caller) const {
  if (caller == 0 || (!socket_.is_system() && caller == geteuid())) return true;
  return std::ranges::any_of(leases_.leases(), [&](const Lease& lease) {
    return lease.share == share && lease.holder == caller;
  });
}

json NodeDaemon::BelowOf(const Share& share, uid_t caller) const {
  json below = json::array();
  for (const std::vector<StackLayer>& layers : stacks_.BelowOf(share.number)) {
    const bool may_see = std::ranges::all_of(
        layers, [&](const StackLayer& layer) { return MaySee(layer.number, caller); });
    if (!may_see) continue;
    for (const StackLayer& layer : layers) {
      const Share& lower = pools_.at(layer.domain)->shares().at(layer.number);
      below.push_back({{"slot", ToInt(lower.slot)},
                       {"domain", layer.domain},
                       {"image", lower.image.path},
                       {"id", lower.facts.id}});
    }
    break;
  }
  return below;
}

json NodeDaemon::Status(uid_t caller) const {
  const bool sees_all = caller == 0 || (!socket_.is_system() && caller == geteuid());
  json pools = json::array();
  for (const auto& [domain, pool] : pools_) {
    json images = json::array();
    for (const auto& [number, share] : pool->shares()) {
      json leases = json::array();
      for (const Lease& lease : leases_.leases()) {
        if (lease.share == number && (sees_all || lease.holder == caller)) {
          leases.push_back(StatusOfLease(lease));
        }
      }
      if (!sees_all && leases.empty()) continue;
      json image = pool->StatusOf(share);
      image["leases"] = std::move(leases);
      image["below"] = BelowOf(share, caller);
      images.push_back(std::move(image));
    }
    if (!sees_all && images.empty()) continue;
    json status = pool->Status();
    status["images"] = std::move(images);
    pools.push_back(std::move(status));
  }
  return {{"pid", getpid()},
          {"uid", geteuid()},
          {"version", FIRN_VERSION},
          {"socket", socket_.path()},
          {"system", socket_.is_system()},
          {"job", options_.job},
          {"linger", options_.linger.count()},
          {"metrics", metrics_ ? json(metrics_->address().text) : json(nullptr)},
          {"pools", std::move(pools)}};
}

}  // namespace firn
