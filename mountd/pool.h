#ifndef FIRN_MOUNTD_POOL_H_
#define FIRN_MOUNTD_POOL_H_

#include <sys/stat.h>

#include <array>
#include <chrono>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mountd/inheritance.h"
#include "mountd/lease_table.h"
#include "mountd/prefetch.h"
#include "mountd/prefetch_status.h"
#include "mountd/proof_store.h"
#include "mountd/rate_limiter.h"
#include "mountd/supervised_worker.h"
#include "mountd/trust_domain.h"
#include "mountd/view_maker.h"

namespace firn {

struct PoolSettings {
  TrustDomain domain;  // of its images
  ExtentCheck check = ExtentCheck::kChecksum;
  std::string directory;  // where its mount namespace hides its mounts
  unsigned threads = 2;
  size_t cache_bytes = 0;
  unsigned max_background = kDefaultMaxBackground;
  std::string selinux_context;        // of mounts; may be empty
  std::function<void()> replacing{};  // as of WorkerSettings
  ProofStore* proofs = nullptr;       // outlives the pool
};

// An image file that a client showed.
struct ShownImage {
  FileDescriptor file;
  struct stat status {};
  std::string path;  // as the client says, for messages
  bool foreign = false;
  bool prefetch = true;
  std::string signed_id{};  // the id that a trusted key signed; empty: any will do
};

// An image that is attached to a pool.
struct Share {
  enum class Stage {
    kOpening,
    kReady,
    kUnleased,  // its view is dropped, and goes when its last user does
    kDetaching  // nobody has it; the kernel is about to forget it
  };
  // Called once, with an error where the image cannot be had.
  using Waiter = std::function<void(const Share* share, std::exception_ptr error)>;

  ShareNumber number{};
  SlotNumber slot{};
  Stage stage = Stage::kOpening;
  ShownImage image;
  ImageFacts facts;
  std::vector<struct stat> copies;  // other files with the same id that were shown
  std::vector<Waiter> waiting;
  bool proved = false;
  bool is_proof_asked = false;
  unsigned views = 0;          // that somebody has, firnd among them
  FileDescriptor pusher_root;  // until the prefetch has begun
  std::chrono::steady_clock::time_point since = std::chrono::steady_clock::now();

  // Was that file, as it is now, shown for it?
  bool IsOf(const struct stat& file) const;
};

inline constexpr std::array kShareStages = {Share::Stage::kOpening, Share::Stage::kReady,
                                            Share::Stage::kUnleased, Share::Stage::kDetaching};
std::string_view NameOf(Share::Stage stage);

// The keeper's side of a trust domain: one FUSE superblock, one worker, and the images that are
// attached. To be used by one thread, with a loop around poll(2). When it goes, its worker serves
// those who have a view until the last one is gone.
class Pool {
 public:
  using Clock = std::chrono::steady_clock;

  // Mounts and has it served. Throws kSystem or kNoReply.
  explicit Pool(PoolSettings settings);
  // One that another keeper has left, in `state`, as Save() gave it; its worker serves still, and
  // TakeOver() is to be called. What holds for a mounted file system is as it was, not as in
  // `settings`. Throws kSystem, kInternal or nlohmann::json::exception; then nothing was changed.
  Pool(PoolSettings settings, const nlohmann::json& state, Inheritance& inheritance);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Attaches the image, once however often it is shown. `number` is for a share that is new.
  // `waiter` is called when it is ready, now or later.
  void Attach(ShownImage image, ShareNumber number, Share::Waiter waiter);
  // A detached mount of the view of that slot, of a share that is ready or of several together.
  void CloneView(SlotNumber slot, ViewMaker::Done done);
  // Nobody leases it any more: it goes when its last user is gone. Attached again before that, it
  // is the same share.
  void Detach(ShareNumber number);
  void Upgrade() { worker_.Upgrade(); }

  // For views of several shares (Stacks), which may be of other pools too. Such a view has a slot
  // number that no image ever has.
  SlotNumber TakeSlotNumber() { return SlotNumber{++last_slot_}; }
  // A detached mount of the share's slot without overlay.
  void CloneSlot(ShareNumber number, ViewMaker::Done done);
  // Makes the view of such mounts, the lowest first; `top` is the share of the last one.
  void MakeStackView(SlotNumber slot, ShareNumber top, std::vector<FileDescriptor> layers,
                     ViewMaker::Done done);
  void DropView(SlotNumber slot);
  // Has somebody the view of that slot?
  bool HasView(SlotNumber slot);
  // As long as the share has a view more than its own, its slot is not let go of.
  void AddView(ShareNumber number);
  void RemoveView(ShareNumber number);
  // The slot numbers of such views that nobody has any more, since it was last called.
  std::vector<SlotNumber> TakeGoneStacks();

  // For the next keeper: the state, and the descriptors that go with it.
  nlohmann::json Save(std::map<std::string, int>& descriptors);
  // Puts a worker in the place of the one that was left, and goes on with what was under way.
  void TakeOver();
  // Has no pusher while it lasts: for a process that is about to exec.
  void PausePrefetch();
  void ResumePrefetch();

  void AppendPollSet(std::vector<pollfd>& set) const;
  int PollTimeout(Clock::time_point now) const { return worker_.PollTimeout(now); }
  void Handle(Clock::time_point now);

  const PoolSettings& settings() const { return settings_; }
  const std::map<ShareNumber, Share>& shares() const { return shares_; }
  const SupervisedWorker& worker() const { return worker_; }
  PrefetchStatus PrefetchOf(const Share& share) const;
  // Of the pool, without its shares.
  nlohmann::json Status() const;
  nlohmann::json StatusOf(const Share& share) const;

 private:
  WorkerImage WorkerImageOf(const Share& share) const;
  Share* FindShown(const struct stat& file, bool foreign);
  Share* FindEqual(const Share& share);
  void TakeOpened(ShareNumber number, const ImageFacts& facts);
  void MakeView(Share& share);
  void TakeView(ShareNumber number, FileDescriptor pusher_root, std::exception_ptr error);
  void Fail(ShareNumber number, std::exception_ptr error);
  void TakeGone(SlotNumber slot);
  void RemoveView(Share& share);
  // Has the worker let go of what nobody has any more.
  void ReleaseSlot(const Share& share);
  void StartNextPrefetch();
  // The one that was under way has ended.
  void GoOnToNextPrefetch();
  // A line that users bring about at will.
  void LogOfUser(const std::string& message);
  // Sees to it that the image takes part in the sharing of pages once it is known to be right.
  void AskForProof(Share& share);
  void RestoreShare(const nlohmann::json& state, Inheritance& inheritance);
  void GoOnWith(Share& share);
  void EndStalledPrefetch(Clock::time_point now);

  PoolSettings settings_;
  Prefetch prefetch_;
  std::deque<ShareNumber> to_prefetch_;
  std::optional<ShareNumber> prefetching_;
  struct Progress {
    uint64_t steps = 0;
    Clock::time_point since{};  // when it was so much
  } prefetch_progress_;
  std::map<ShareNumber, PrefetchStatus> prefetched_;
  ProcessIdentity former_pusher_;  // of the keeper before
  SupervisedWorker worker_;
  std::map<ShareNumber, Share> shares_;
  uint32_t last_slot_ = 0;
  std::vector<SlotNumber> gone_stacks_;
  RateLimiter log_limiter_{200, std::chrono::seconds(10)};
  ViewMaker views_;  // goes before the worker, whom its thread may wait for
};

}  // namespace firn

#endif  // FIRN_MOUNTD_POOL_H_
