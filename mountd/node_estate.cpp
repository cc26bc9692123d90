// The node's keeper as it leaves and as it finds what it keeps.

#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "firn_version.h"
#include "mountd/carried_error.h"
#include "mountd/init_process.h"
#include "mountd/keeper_exec.h"
#include "mountd/leased_mounts.h"
#include "mountd/log.h"
#include "mountd/node_daemon.h"
#include "mountd/process_identity.h"

namespace firn {
namespace {

using nlohmann::json;

constexpr char kAskerName[] = "asker";
// Of answers that are under way when another keeper is to take over.
constexpr std::chrono::seconds kSettlingTimeout{5};

json SaveLease(const Lease& lease) {
  return {{"kind", static_cast<int>(lease.kind)},
          {"share", static_cast<uint64_t>(lease.share)},
          {"holder", lease.holder},
          {"pid", lease.pid},
          {"started", lease.started},
          {"name", lease.name},
          {"mount_id", lease.mount_id},
          {"since", lease.since.time_since_epoch().count()}};
}

Lease LeaseFrom(const json& saved) {
  using Since = decltype(Lease::since);
  Lease lease;
  lease.kind = static_cast<LeaseKind>(saved.at("kind").get<int>());
  lease.share = ShareNumber{saved.at("share").get<uint64_t>()};
  lease.holder = saved.at("holder");
  lease.pid = saved.at("pid");
  lease.started = saved.at("started");
  lease.name = saved.at("name");
  lease.mount_id = saved.at("mount_id");
  lease.since = Since(Since::duration(saved.at("since").get<Since::rep>()));
  if (lease.kind == LeaseKind::kProcess) {
    lease.process = OpenProcess(ProcessIdentity{.pid = lease.pid, .started = lease.started});
  }
  return lease;
}

}  // namespace

Estate NodeDaemon::MakeEstate() {
  Estate estate;
  estate.descriptors = {{kLockName, socket_.lock_fd()}, {kListenerName, socket_.fd()}};
  if (user_namespace_.valid()) {
    estate.descriptors[kUserNamespaceName] = user_namespace_.get();
    estate.descriptors[kMountNamespaceName] = mount_namespace_.get();
  }
  json leases = json::array();
  for (const Lease& lease : leases_.leases()) leases.push_back(SaveLease(lease));
  json unused_since = json::array();
  for (const auto& [share, since] : unused_since_) {
    unused_since.push_back({static_cast<uint64_t>(share), since.time_since_epoch().count()});
  }
  json pools = json::array();
  for (const auto& [domain, pool] : pools_) {
    // One that is being made has nothing to leave yet.
    if (pool != nullptr) pools.push_back(pool->Save(estate.descriptors));
  }
  estate.document["last_share"] = last_share_;
  estate.document["leases"] = std::move(leases);
  estate.document["unused_since"] = std::move(unused_since);
  estate.document["pools"] = std::move(pools);
  estate.document["stacks"] = stacks_.Save();
  json holders = json::array();
  for (const auto& [share, holder] : last_holders_) {
    holders.push_back({static_cast<uint64_t>(share), holder});
  }
  estate.document["last_holders"] = std::move(holders);
  estate.document["left"] = left_;
  return estate;
}

void NodeDaemon::KeepEstate() {
  if (store_.is_kept()) store_.Keep(MakeEstate());
}

void NodeDaemon::Restore(Inheritance& inheritance) {
  const json& document = inheritance.document();
  if (document.contains("pools")) {
    last_share_ = document.at("last_share");
    for (const json& pool : document["pools"]) RestorePool(pool, inheritance);
    stacks_.Restore(document.value("stacks", json::array()));
    RestoreLeases(document);
    if (inheritance.IsOwn()) left_ = document.at("left").get<std::vector<pid_t>>();
  }
  KeepEstate();
  for (const auto& [domain, pool] : pools_) pool->TakeOver();
  KeepEstate();
  if (!pools_.empty()) {
    LogInfo("took over from firnd {}; pools: {}, leases: {}",
            document.value("program", std::string()), pools_.size(), leases_.leases().size());
  }
  RestoreAsker(document, inheritance);
}

// Nothing of a pool is touched before all of it is there: else its worker serves on alone.
void NodeDaemon::RestorePool(const json& state, Inheritance& inheritance) {
  try {
    const TrustDomain domain = TrustDomainFrom(state.at("domain"));
    pools_[domain] = std::make_unique<Pool>(SettingsOf(domain), state, inheritance);
  } catch (const std::exception& error) {
    LogError("cannot take over a pool of images, whose worker serves on alone: {}", error.what());
  }
  std::erase_if(pools_, [](const auto& entry) { return entry.second == nullptr; });
}

void NodeDaemon::RestoreLeases(const json& document) {
  for (const json& saved : document.at("leases")) {
    Lease lease = LeaseFrom(saved);
    const bool has_share = std::ranges::any_of(
        pools_, [&](const auto& entry) { return entry.second->shares().contains(lease.share); });
    const bool has_ended = lease.kind == LeaseKind::kProcess && !lease.process.valid();
    if (has_share && !has_ended) leases_.Restore(std::move(lease));
  }
  if (leases_.HasMounts()) leases_.EndMounts(ReadMountTable());
  for (const json& saved : document.at("unused_since")) {
    unused_since_[ShareNumber{saved.at(0).get<uint64_t>()}] =
        Clock::time_point(Clock::duration(saved.at(1).get<Clock::rep>()));
  }
  for (const json& saved : document.at("last_holders")) {
    last_holders_[ShareNumber{saved.at(0).get<uint64_t>()}] = saved.at(1).get<uid_t>();
  }
}

// Who asked the program before for the upgrade hears of it from this one.
void NodeDaemon::RestoreAsker(const json& document, Inheritance& inheritance) {
  FileDescriptor fd = inheritance.Take(kAskerName);
  if (!fd.valid()) return;
  AddClient(std::move(fd), Clock::now());
  if (clients_.empty()) return;  // it has ended
  Finish(clients_.back(), {{"ok", true},
                           {"workers", document.value("workers", pools_.size())},
                           {"version", FIRN_VERSION}});
}

void NodeDaemon::Upgrade(const ClientPointer& client) {
  if (client->peer.uid != 0 && client->peer.uid != geteuid()) {
    throw Error(ErrorKind::kUsage, "only root may upgrade this firnd");
  }
  if (leaving_) throw Error(ErrorKind::kSystem, "firnd is about to be replaced already");
  CheckSuccessor(MakeEstate(), options_.directory);
  // Workers of the new program prove that it can serve while there still is a way back.
  for (const auto& [domain, pool] : pools_) pool->Upgrade();
  client->is_waiting = true;
  leaving_ = {.deadline = Clock::now() + kSettlingTimeout, .asker = client};
}

void NodeDaemon::TakeLeave(int number) const {
  if (IsUnderOwnInit()) {
    LogInfo("{}: ending, and with the container whoever has an image", strsignal(number));
    UnmountLeased(leases_.leases());
  } else {
    LogInfo("{}: ending; workers serve those who have an image", strsignal(number));
  }
}

bool NodeDaemon::TakeSignal(int number, Clock::time_point now) {
  if (!store_.is_kept() || leaving_ || IsUnderOwnInit()) {
    TakeLeave(number);
    return false;
  }
  LogInfo("{}: ending; workers serve until the next firnd takes over", strsignal(number));
  leaving_ = {.deadline = now + kSettlingTimeout, .asker = nullptr};
  return true;
}

void NodeDaemon::SendAnswers() {
  for (const Answered& answered : std::exchange(answers_, {})) {
    std::vector<int> fds;
    for (const FileDescriptor& fd : answered.fds) fds.push_back(fd.get());
    if (!answered.client->channel.Send(answered.answer, fds)) answered.client->gone = true;
  }
}

bool NodeDaemon::IsSettled() const {
  return std::ranges::none_of(clients_, [this](const ClientPointer& client) {
    return client != leaving_->asker && (client->is_waiting || !client->unplaced.empty());
  });
}

bool NodeDaemon::Leave(Clock::time_point now) {
  if (!IsSettled() && now < leaving_->deadline) return false;
  if (leaving_->asker != nullptr) {
    ExecOrStay();
    return false;
  }
  store_.Settle();
  socket_.Leave();
  return true;
}

void NodeDaemon::ExecOrStay() {
  const ClientPointer asker = leaving_->asker;
  for (const auto& [domain, pool] : pools_) pool->PausePrefetch();
  Estate estate = MakeEstate();
  store_.AddTo(estate);
  estate.document["workers"] = pools_.size();
  if (!asker->gone) estate.descriptors[kAskerName] = asker->channel.fd();
  LogInfo("going on as the program on disk");
  try {
    ExecSuccessor(std::move(estate), options_.directory);
  } catch (const Error& error) {
    leaving_.reset();
    Finish(asker, {{"error", ErrorToJson(error)}});
    for (const auto& [domain, pool] : pools_) pool->ResumePrefetch();
  }
}

}  // namespace firn
