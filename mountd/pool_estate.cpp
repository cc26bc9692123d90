// A pool as one keeper leaves it and the next one finds it.

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "mountd/log.h"
#include "mountd/pool.h"

namespace firn {
namespace {

using nlohmann::json;

json SavedTime(const timespec& time) { return json::array({time.tv_sec, time.tv_nsec}); }

timespec TimeFrom(const json& saved) {
  timespec time{};
  time.tv_sec = saved.at(0).get<time_t>();
  time.tv_nsec = saved.at(1).get<long>();
  return time;
}

// What tells a file from others, and from itself after it was written to.
json SavedFile(const struct stat& file) {
  return {{"dev", file.st_dev},
          {"ino", file.st_ino},
          {"size", file.st_size},
          {"mode", file.st_mode},
          {"uid", file.st_uid},
          {"mtime", SavedTime(file.st_mtim)},
          {"ctime", SavedTime(file.st_ctim)}};
}

struct stat FileFrom(const json& saved) {
  struct stat file {};
  file.st_dev = saved.at("dev").get<dev_t>();
  file.st_ino = saved.at("ino").get<ino_t>();
  file.st_size = saved.at("size").get<off_t>();
  file.st_mode = saved.at("mode").get<mode_t>();
  file.st_uid = saved.at("uid").get<uid_t>();
  file.st_mtim = TimeFrom(saved.at("mtime"));
  file.st_ctim = TimeFrom(saved.at("ctime"));
  return file;
}

json SavedFacts(const ImageFacts& facts) {
  return {{"foreign", facts.foreign}, {"has_profile", facts.has_profile},
          {"on_fuse", facts.on_fuse}, {"id", facts.id},
          {"name", facts.name},       {"prefix", facts.prefix}};
}

ImageFacts FactsFromSaved(const json& saved) {
  return {.foreign = saved.at("foreign"),
          .on_fuse = saved.at("on_fuse"),
          .has_profile = saved.at("has_profile"),
          .id = saved.at("id"),
          .name = saved.at("name"),
          .prefix = saved.at("prefix")};
}

json SavedProcess(const ProcessIdentity& process) {
  return json::array({process.pid, process.started});
}

ProcessIdentity ProcessFrom(const json& saved) {
  return {.pid = saved.at(0).get<pid_t>(), .started = saved.at(1).get<uint64_t>()};
}

json SaveShare(const Share& share) {
  json copies = json::array();
  for (const struct stat& copy : share.copies) copies.push_back(SavedFile(copy));
  return {{"number", static_cast<uint64_t>(share.number)},
          {"slot", ToInt(share.slot)},
          {"stage", static_cast<int>(share.stage)},
          {"path", share.image.path},
          {"file", SavedFile(share.image.status)},
          {"take_foreign", share.image.foreign},
          {"prefetch", share.image.prefetch},
          {"signed_id", share.image.signed_id},
          {"facts", SavedFacts(share.facts)},
          {"copies", std::move(copies)},
          {"proved", share.proved},
          {"is_proof_asked", share.is_proof_asked},
          {"since", share.since.time_since_epoch().count()}};
}

Share::Stage StageFrom(const json& saved) {
  const int number = saved.get<int>();
  if (number >= 0 && number <= static_cast<int>(Share::Stage::kDetaching)) {
    return static_cast<Share::Stage>(number);
  }
  throw Error(ErrorKind::kSystem,
              "expected a stage of an image in the state of the firnd before, "
              "found " +
                  std::to_string(number));
}

PoolSettings SettingsOfMounted(PoolSettings settings, const json& state) {
  settings.threads = state.at("threads");
  settings.max_background = state.at("max_background");
  settings.selinux_context = state.at("selinux_context");
  return settings;
}

std::map<int, SlotNumber> WatchesFrom(const json& saved) {
  std::map<int, SlotNumber> watches;
  for (const json& watch : saved) {
    watches[watch.at(0).get<int>()] = SlotNumber{watch.at(1).get<uint32_t>()};
  }
  return watches;
}

// A pusher that the keeper before had started.
void EndPusher(const ProcessIdentity& pusher) {
  const FileDescriptor process = OpenProcess(pusher);
  if (!process.valid()) return;
  KillProcess(process);
  waitpid(pusher.pid, nullptr, WNOHANG);  // no child of this one, where firnd was restarted
}

}  // namespace

json Pool::Save(std::map<std::string, int>& descriptors) {
  const TrustDomain& domain = settings_.domain;
  descriptors[EstateName("fuse", domain)] = worker_.fuse_fd();
  descriptors[EstateName("memory", domain)] = worker_.memory_fd();
  descriptors[EstateName("mounts", domain)] = views_.namespace_fd();
  descriptors[EstateName("inotify", domain)] = views_.gone_fd();
  json shares = json::array();
  for (const auto& [number, share] : shares_) {
    descriptors[EstateName("image", static_cast<uint64_t>(number))] = share.image.file.get();
    shares.push_back(SaveShare(share));
  }
  json watches = json::array();
  for (const auto& [watch, slot] : views_.watches()) watches.push_back({watch, ToInt(slot)});
  json to_prefetch = json::array();
  if (prefetching_) to_prefetch.push_back(static_cast<uint64_t>(*prefetching_));
  for (const ShareNumber number : to_prefetch_) {
    to_prefetch.push_back(static_cast<uint64_t>(number));
  }
  json prefetched = json::array();
  for (const auto& [number, status] : prefetched_) {
    prefetched.push_back({static_cast<uint64_t>(number), ToJson(status)});
  }
  const ProcessIdentity pusher = prefetch_.pid() > 0 ? IdentityOf(prefetch_.pid()) : former_pusher_;
  return {{"domain", domain},
          {"threads", settings_.threads},
          {"max_background", settings_.max_background},
          {"selinux_context", settings_.selinux_context},
          {"directory", views_.directory()},
          {"worker", SavedProcess(worker_.process())},
          {"abandoned", worker_.abandoned()},
          {"pusher", SavedProcess(pusher)},
          {"last_slot", last_slot_},
          {"shares", std::move(shares)},
          {"watches", std::move(watches)},
          {"to_prefetch", std::move(to_prefetch)},
          {"prefetched", std::move(prefetched)}};
}

Pool::Pool(PoolSettings settings, const json& state, Inheritance& inheritance)
    : settings_(SettingsOfMounted(std::move(settings), state)),
      former_pusher_(ProcessFrom(state.at("pusher"))),
      worker_({.threads = settings_.threads,
               .cache_bytes = settings_.cache_bytes,
               .max_background = settings_.max_background,
               .record = {},
               .replacing = settings_.replacing},
              prefetch_.shared_state(), inheritance.Require(EstateName("memory", settings_.domain)),
              inheritance.Require(EstateName("fuse", settings_.domain)), RootLayout::kSlots,
              ProcessFrom(state.at("worker"))),
      last_slot_(state.at("last_slot")),
      views_({.directory = state.at("directory"),
              .mount_namespace = inheritance.Require(EstateName("mounts", settings_.domain)),
              .inotify = inheritance.Require(EstateName("inotify", settings_.domain)),
              .watches = WatchesFrom(state.at("watches"))}) {
  if (inheritance.IsOwn()) worker_.RestoreAbandoned(state.at("abandoned"));
  for (const json& share : state.at("shares")) RestoreShare(share, inheritance);
  for (const json& number : state.at("to_prefetch")) {
    to_prefetch_.push_back(ShareNumber{number.get<uint64_t>()});
  }
  for (const json& status : state.at("prefetched")) {
    prefetched_[ShareNumber{status.at(0).get<uint64_t>()}] = PrefetchStatusFrom(status.at(1));
  }
}

void Pool::RestoreShare(const json& state, Inheritance& inheritance) {
  const ShareNumber number{state.at("number").get<uint64_t>()};
  Share share;
  share.number = number;
  share.slot = SlotNumber{state.at("slot").get<uint32_t>()};
  share.stage = StageFrom(state.at("stage"));
  share.image = {.file = inheritance.Require(EstateName("image", static_cast<uint64_t>(number))),
                 .status = FileFrom(state.at("file")),
                 .path = state.at("path"),
                 .foreign = state.at("take_foreign"),
                 .prefetch = state.at("prefetch"),
                 .signed_id = state.value("signed_id", std::string())};
  share.facts = FactsFromSaved(state.at("facts"));
  for (const json& copy : state.at("copies")) share.copies.push_back(FileFrom(copy));
  share.proved = state.at("proved");
  share.is_proof_asked = state.at("is_proof_asked");
  share.since = Clock::time_point(Clock::duration(state.at("since").get<Clock::rep>()));
  worker_.Restore(WorkerImageOf(share));
  shares_[number] = std::move(share);
}

void Pool::TakeOver() {
  EndPusher(std::exchange(former_pusher_, {}));
  worker_.TakeOver();
  for (const auto& [watch, slot] : views_.watches()) {
    for (auto& [number, share] : shares_) share.views += share.slot == slot ? 1 : 0;
  }
  for (auto& [number, share] : shares_) GoOnWith(share);
  ResumePrefetch();
}

void Pool::GoOnWith(Share& share) {
  // A view that no client got: who asked for it asks again.
  const bool was_opening = share.stage == Share::Stage::kOpening;
  if (was_opening) share.stage = Share::Stage::kUnleased;
  if (share.stage == Share::Stage::kUnleased) {
    DropView(share.slot);
    if (share.views == 0) share.stage = Share::Stage::kDetaching;
  }
  if (share.stage == Share::Stage::kDetaching) {
    if (was_opening) LogInfo("detaching {}, which was being attached", share.image.path);
    ReleaseSlot(share);
    return;
  }
  if (share.is_proof_asked && !share.proved) AskForProof(share);
}

void Pool::PausePrefetch() {
  if (!prefetching_) return;
  prefetch_.Stop();
  to_prefetch_.push_front(*std::exchange(prefetching_, std::nullopt));
}

void Pool::ResumePrefetch() {
  for (const ShareNumber number : std::exchange(to_prefetch_, {})) {
    const auto found = shares_.find(number);
    if (found == shares_.end() || found->second.stage != Share::Stage::kReady) continue;
    views_.CloneSlot(
        found->second.slot, [this, number](FileDescriptor root, const std::exception_ptr& error) {
          const auto share = shares_.find(number);
          if (error || share == shares_.end() || share->second.stage != Share::Stage::kReady)
            return;
          share->second.pusher_root = std::move(root);
          to_prefetch_.push_back(number);
          StartNextPrefetch();
        });
  }
}

}  // namespace firn
