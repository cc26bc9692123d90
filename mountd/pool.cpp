#include "mountd/pool.h"

#include <fcntl.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "mountd/fuse_mount.h"
#include "mountd/log.h"
#include "mountd/pool_counts.h"

namespace firn {
namespace {

using nlohmann::json;

// A prefetch that got nowhere for so long gives way to others that wait: its image file may lie on
// a file system that does not answer.
constexpr std::chrono::seconds kPrefetchPatience{5};

bool IsSameTime(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

// The same file, not written to since.
bool IsSameFile(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         IsSameTime(a.st_mtim, b.st_mtim) && IsSameTime(a.st_ctim, b.st_ctim);
}

// May nobody but the owner of the domain change the file's bytes?
bool IsOwnersAlone(const Share& share) {
  return (share.image.status.st_mode & (S_IWGRP | S_IWOTH)) == 0 && !share.facts.on_fuse;
}

// May users of `share` depend on the file of `other`? Its owner can make it shorter.
bool IsSafeFor(const Share& share, const Share& other) {
  return other.image.status.st_uid == share.image.status.st_uid || other.image.status.st_uid == 0;
}

}  // namespace

bool Share::IsOf(const struct stat& file) const {
  const auto is_same = [&](const struct stat& other) { return IsSameFile(file, other); };
  return is_same(image.status) || std::ranges::any_of(copies, is_same);
}

std::string_view NameOf(Share::Stage stage) {
  switch (stage) {
    case Share::Stage::kOpening:
      return "opening";
    case Share::Stage::kReady:
      return "attached";
    case Share::Stage::kUnleased:
      return "unleased";
    case Share::Stage::kDetaching:
      return "detaching";
  }
  return "opening";
}

Pool::Pool(PoolSettings settings)
    : settings_(std::move(settings)),
      worker_({.threads = settings_.threads,
               .cache_bytes = settings_.cache_bytes,
               .max_background = settings_.max_background,
               .record = {},
               .replacing = settings_.replacing},
              prefetch_.shared_state()),
      views_(settings_.directory) {
  worker_.Start();
  FileDescriptor fuse = OpenFuseDevice();
  views_.MountPool(fuse, {.source = "firn-pool-" + settings_.domain.PlainName(),
                          .selinux_context = settings_.selinux_context});
  worker_.Serve(std::move(fuse), RootLayout::kSlots);
  views_.RaisePoolReadAhead();
}

Pool::~Pool() {
  prefetch_.Stop();
  worker_.Leave();
}

Share* Pool::FindShown(const struct stat& file, bool foreign) {
  for (auto& [number, share] : shares_) {
    if (share.stage == Share::Stage::kDetaching || share.image.foreign != foreign) continue;
    if (share.IsOf(file)) return &share;
  }
  return nullptr;
}

// Another share that is ready and has the same image id, in a file that its user has to rely on
// anyway: one of the same owner, or root's.
Share* Pool::FindEqual(const Share& share) {
  for (auto& [number, other] : shares_) {
    if (other.stage == Share::Stage::kReady && !share.facts.id.empty() &&
        other.facts.id == share.facts.id && IsSafeFor(share, other)) {
      return &other;
    }
  }
  return nullptr;
}

void Pool::Attach(ShownImage image, ShareNumber number, Share::Waiter waiter) {
  if (Share* const share = FindShown(image.status, image.foreign)) {
    if (share->stage == Share::Stage::kReady) {
      waiter(share, nullptr);
      return;
    }
    share->waiting.push_back(std::move(waiter));
    if (share->stage == Share::Stage::kUnleased) MakeView(*share);
    return;
  }
  const SlotNumber slot{++last_slot_};
  Share& share = shares_[number];
  share.number = number;
  share.slot = slot;
  share.image = std::move(image);
  share.waiting.push_back(std::move(waiter));
  worker_.Attach(
      WorkerImageOf(share), [this, number](const ImageFacts& facts) { TakeOpened(number, facts); },
      [this, number](const Error& error) { Fail(number, std::make_exception_ptr(error)); });
}

// What one owner shows for the image that a key signed proves each byte by its id, or somebody else
// who shows the same image might get other bytes.
WorkerImage Pool::WorkerImageOf(const Share& share) const {
  return {.slot = share.slot,
          .file = FileDescriptor(fcntl(share.image.file.get(), F_DUPFD_CLOEXEC, 0)),
          .file_system = FileSystemId{share.image.status.st_dev},
          .path = share.image.path,
          .foreign = share.image.foreign,
          .drop_stored = true,
          .proved = share.proved,
          .check = settings_.domain.is_of_key() ? ExtentCheck::kProof : settings_.check,
          .expected_id = share.image.signed_id,
          .owner = share.image.status.st_uid};
}

void Pool::TakeOpened(ShareNumber number, const ImageFacts& facts) {
  Share& share = shares_.at(number);
  share.facts = facts;
  if (Share* const equal = FindEqual(share)) {
    equal->copies.push_back(share.image.status);
    const std::vector<Share::Waiter> waiting = std::exchange(share.waiting, {});
    Detach(number);
    for (const Share::Waiter& waiter : waiting) waiter(equal, nullptr);
    return;
  }
  MakeView(share);
}

void Pool::MakeView(Share& share) {
  share.stage = Share::Stage::kOpening;
  ++share.views;
  const ShareNumber number = share.number;
  views_.MakeView(share.slot, share.image.path, settings_.selinux_context,
                  [this, number](FileDescriptor pusher_root, std::exception_ptr error) {
                    TakeView(number, std::move(pusher_root), error);
                  });
}

void Pool::TakeView(ShareNumber number, FileDescriptor pusher_root, std::exception_ptr error) {
  const auto found = shares_.find(number);
  if (found == shares_.end()) return;
  if (error) {
    --found->second.views;
    Fail(number, error);
    return;
  }
  Share& share = found->second;
  share.stage = Share::Stage::kReady;
  LogOfUser("attached " + share.image.path + " as slot " + std::to_string(ToInt(share.slot)) +
            " of the images " + settings_.domain.Described());
  const bool is_first = !prefetched_.contains(number);
  if (is_first && share.image.prefetch && share.facts.has_profile) {
    share.pusher_root = std::move(pusher_root);
    to_prefetch_.push_back(number);
    StartNextPrefetch();
  }
  if (!share.is_proof_asked && !share.facts.foreign && IsOwnersAlone(share)) {
    AskForProof(share);
  }
  for (const Share::Waiter& waiter : std::exchange(share.waiting, {})) waiter(&share, nullptr);
}

void Pool::AskForProof(Share& share) {
  share.is_proof_asked = true;
  const bool was_proved =
      settings_.proofs != nullptr && settings_.proofs->Has(share.facts.id, share.image.status);
  // Who signed the image is trusted to have written true digests into it.
  if (was_proved || settings_.domain.is_of_key()) {
    share.proved = true;
    worker_.Believe(share.slot);
    return;
  }
  worker_.Prove(share.slot, [this, number = share.number](bool is_right) {
    const auto found = shares_.find(number);
    if (found == shares_.end()) return;
    found->second.proved = is_right;
    // As the file was when it was shown: one that was changed since is another one.
    if (is_right && settings_.proofs != nullptr) {
      settings_.proofs->Add(found->second.facts.id, found->second.image.status);
    }
  });
}

void Pool::Fail(ShareNumber number, std::exception_ptr error) {
  const auto found = shares_.find(number);
  if (found == shares_.end()) return;
  const std::vector<Share::Waiter> waiting = std::exchange(found->second.waiting, {});
  // What the worker could not open it does not have.
  if (found->second.facts.id.empty() && !found->second.facts.foreign) {
    shares_.erase(found);
  } else {
    Detach(number);
  }
  for (const Share::Waiter& waiter : waiting) waiter(nullptr, error);
}

void Pool::CloneView(SlotNumber slot, ViewMaker::Done done) {
  views_.CloneView(slot, std::move(done));
}

void Pool::Detach(ShareNumber number) {
  Share& share = shares_.at(number);
  if (share.stage == Share::Stage::kUnleased || share.stage == Share::Stage::kDetaching) return;
  const bool has_view = share.views != 0;
  share.stage = Share::Stage::kUnleased;
  std::erase(to_prefetch_, number);
  share.pusher_root.Close();
  if (prefetching_ == number) {
    prefetch_.Stop();
    prefetching_.reset();
    StartNextPrefetch();
  }
  if (has_view) {
    DropView(share.slot);
  } else {
    TakeGone(share.slot);
  }
}

// A view of the slot has no user any more.
void Pool::TakeGone(SlotNumber slot) {
  const auto found = std::ranges::find_if(
      shares_, [slot](const auto& entry) { return entry.second.slot == slot; });
  if (found == shares_.end()) {
    gone_stacks_.push_back(slot);
  } else {
    RemoveView(found->second);
  }
}

void Pool::RemoveView(Share& share) {
  if (share.views != 0) --share.views;
  if (share.views != 0 || share.stage != Share::Stage::kUnleased) return;
  share.stage = Share::Stage::kDetaching;
  LogOfUser("detaching " + share.image.path);
  ReleaseSlot(share);
}

void Pool::ReleaseSlot(const Share& share) {
  worker_.Detach(share.slot, [this, number = share.number] {
    shares_.erase(number);
    prefetched_.erase(number);
  });
}

void Pool::LogOfUser(const std::string& message) {
  const std::optional<uint64_t> left_out = log_limiter_.Admit(Clock::now());
  if (!left_out) return;
  if (*left_out > 0) LogInfo("{} more lines on images that come and go were left out", *left_out);
  LogInfo("{}", message);
}

void Pool::StartNextPrefetch() {
  if (prefetching_ || to_prefetch_.empty()) return;
  Share& share = shares_.at(to_prefetch_.front());
  prefetching_ = to_prefetch_.front();
  to_prefetch_.pop_front();
  prefetch_.Reset();
  prefetch_progress_ = {.steps = 0, .since = Clock::now()};
  prefetch_.Start(share.image.file.get(),
                  {.root = std::move(share.pusher_root), .user_namespace = {}},
                  std::max(1u, settings_.threads / 2));
}

void Pool::AppendPollSet(std::vector<pollfd>& set) const {
  worker_.AppendPollSet(set);
  set.push_back({views_.done_fd(), POLLIN, 0});
  set.push_back({views_.gone_fd(), POLLIN, 0});
  set.push_back({prefetch_.ended_fd(), POLLIN, 0});
}

void Pool::Handle(Clock::time_point now) {
  worker_.Handle(now);
  views_.Deliver();
  for (const SlotNumber slot : views_.TakeGone()) TakeGone(slot);
  if (prefetching_ && prefetch_.HasEnded()) {
    prefetch_.Reap();
    GoOnToNextPrefetch();
  }
  EndStalledPrefetch(now);
}

void Pool::GoOnToNextPrefetch() {
  prefetched_[*prefetching_] = PrefetchStatusOf(prefetch_.state());
  prefetching_.reset();
  StartNextPrefetch();
}

void Pool::EndStalledPrefetch(Clock::time_point now) {
  if (!prefetching_) return;
  const uint64_t steps = prefetch_.state().done.load() + prefetch_.state().bytes.load();
  if (steps != prefetch_progress_.steps) prefetch_progress_ = {.steps = steps, .since = now};
  if (to_prefetch_.empty() || now - prefetch_progress_.since < kPrefetchPatience) return;
  LogWarning("the prefetch of {} gets nowhere: going on with another",
             shares_.at(*prefetching_).image.path);
  prefetch_.Stop();
  GoOnToNextPrefetch();
}

PrefetchStatus Pool::PrefetchOf(const Share& share) const {
  if (prefetching_ == share.number) return PrefetchStatusOf(prefetch_.state());
  const auto found = prefetched_.find(share.number);
  return found != prefetched_.end() ? found->second : PrefetchStatus();
}

json Pool::Status() const {
  const SessionState& state = worker_.state();
  return {{"domain", settings_.domain},
          {"worker", worker_.pid()},
          {"restarts", worker_.restarts()},
          {"requests", state.requests.Snapshot()},
          {"requests_total", state.requests.Total()},
          {"decoded", state.cache.DecodedByKind()},
          {"cache",
           {{"hits", state.cache.hits.load()},
            {"bytes", state.cache.bytes.load()},
            {"capacity", settings_.cache_bytes}}},
          {"bytes_read", state.bytes_read.load()},
          {"worker_resident", ResidentBytesOf(worker_.pid())},
          {"errors", state.errors.Snapshot()}};
}

json Pool::StatusOf(const Share& share) const {
  return {
      {"slot", ToInt(share.slot)},
      {"stage", NameOf(share.stage)},
      {"image", share.image.path},
      {"foreign", share.facts.foreign},
      {"id", share.facts.id},
      {"name", share.facts.name},
      {"prefix", share.facts.prefix},
      {"shares_pages", share.proved},
      {"lookups", worker_.state().lookups[ToInt(share.slot) % kMostSlots].load()},
      {"age", std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - share.since).count()},
      {"prefetch", ToJson(PrefetchOf(share))}};
}

}  // namespace firn
