#include "mountd/request_gate.h"

#include <linux/fuse.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace firn {
namespace {

// Of the parked entries, these are kept for what a worker that died has left in the ring.
constexpr size_t kKeptFree = kMostServingThreads;

template <typename T>
std::optional<T> StructureAt(ByteSpan request, size_t offset) {
  if (request.size() < offset + sizeof(T)) return std::nullopt;
  T structure;
  std::memcpy(&structure, request.data() + offset, sizeof structure);
  return structure;
}

}  // namespace

RequestGate::RequestGate(const SessionMemory& memory, RootLayout layout, unsigned few)
    : memory_(memory), layout_(layout), few_(std::max(1u, few)) {
  free_.reserve(kMostParked);
  for (size_t entry = kMostParked; entry > 0; --entry) free_.push_back(entry - 1);
}

void RequestGate::Add(SlotNumber slot, FileSystemId file_system, bool is_open) {
  const std::lock_guard lock(mutex_);
  slots_[slot] = {.file_system = &file_systems_[file_system], .is_open = is_open};
}

void RequestGate::SetOpen(SlotNumber slot) {
  const std::lock_guard lock(mutex_);
  const auto found = slots_.find(slot);
  if (found == slots_.end()) return;
  found->second.is_open = true;
  for (const size_t entry : std::exchange(found->second.parked, {})) Queue(entry);
  changed_.notify_all();
}

void RequestGate::Remove(SlotNumber slot) {
  const std::lock_guard lock(mutex_);
  const auto found = slots_.find(slot);
  if (found == slots_.end()) return;
  ungated_.insert(ungated_.end(), found->second.parked.begin(), found->second.parked.end());
  slots_.erase(found);
  changed_.notify_all();
}

// Of a request that is answered from an image file. STATFS is not: it always gets an answer, so
// that who lists mounts need not wait.
std::optional<SlotNumber> RequestGate::TargetOf(ByteSpan request) const {
  const auto header = StructureAt<fuse_in_header>(request, 0);
  if (!header) return std::nullopt;
  switch (header->opcode) {
    case FUSE_LOOKUP:
    case FUSE_GETATTR:
    case FUSE_READLINK:
    case FUSE_READ:
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
      break;
    default:
      return std::nullopt;
  }
  const bool is_root = header->nodeid == kRootNode;
  if (is_root && layout_ == RootLayout::kSlots) return std::nullopt;
  return is_root ? SlotNumber{1} : SlotOf(header->nodeid);
}

bool RequestGate::MayEnter(const FileSystem& file_system) const {
  if (file_system.inside == 0) return true;
  const bool answers = Clock::now() - file_system.progress <= kPatience;
  return file_system.inside < (answers ? kMostOfOne : std::min(few_, kMostOfOne));
}

RequestGate::Pass RequestGate::EnterNow(FileSystem& file_system) {
  if (file_system.inside++ == 0) file_system.progress = Clock::now();
  Pass pass;
  pass.file_system_ = &file_system;
  return pass;
}

RequestGate::Entry RequestGate::Enter(ByteSpan request) {
  const std::optional<SlotNumber> target = TargetOf(request);
  std::unique_lock lock(mutex_);
  if (!target) {
    ForgetUnopened(request);
    return {.pass = Pass()};
  }
  for (;;) {
    if (is_closed_) return {};
    const auto found = slots_.find(*target);
    if (found == slots_.end()) return {.pass = Pass()};
    Slot& slot = found->second;
    if (slot.is_open && MayEnter(*slot.file_system)) return {.pass = EnterNow(*slot.file_system)};
    if (ParkFor(slot, request)) return {.pass = std::nullopt, .is_parked = true};
    changed_.wait(lock);
  }
}

void RequestGate::Leave(Pass pass) {
  if (pass.file_system_ == nullptr) return;
  const std::lock_guard lock(mutex_);
  --pass.file_system_->inside;
  pass.file_system_->progress = Clock::now();
  changed_.notify_all();
}

bool RequestGate::ParkFor(Slot& slot, ByteSpan request) {
  if (free_.size() <= kKeptFree || request.size() > kParkedRoom) return false;
  const size_t entry = free_.back();
  free_.pop_back();
  memory_.Park(entry, request);
  (slot.is_open ? slot.file_system->parked : slot.parked).push_back(entry);
  parked_.fetch_add(1);
  return true;
}

void RequestGate::Queue(size_t entry) {
  const std::optional<SlotNumber> target = TargetOf(memory_.ParkedRequest(entry));
  const auto found = target ? slots_.find(*target) : slots_.end();
  if (found == slots_.end()) {
    ungated_.push_back(entry);
  } else if (found->second.is_open) {
    found->second.file_system->parked.push_back(entry);
  } else {
    found->second.parked.push_back(entry);
  }
}

std::optional<RequestGate::Parked> RequestGate::Take() {
  if (parked_.load() == 0) return std::nullopt;
  const std::lock_guard lock(mutex_);
  if (is_closed_) return std::nullopt;
  if (!ungated_.empty()) {
    const Parked taken{.entry = ungated_.front(), .pass = Pass()};
    ungated_.pop_front();
    return taken;
  }
  for (auto& [id, file_system] : file_systems_) {
    if (file_system.parked.empty() || !MayEnter(file_system)) continue;
    const Parked taken{.entry = file_system.parked.front(), .pass = EnterNow(file_system)};
    file_system.parked.pop_front();
    return taken;
  }
  return std::nullopt;
}

void RequestGate::Finish(const Parked& parked) {
  memory_.MarkParkedAnswered(parked.entry);
  {
    const std::lock_guard lock(mutex_);
    free_.push_back(parked.entry);
    parked_.fetch_sub(1);
  }
  changed_.notify_all();
  Leave(parked.pass);
}

bool RequestGate::HasReady() {
  const std::lock_guard lock(mutex_);
  return !ungated_.empty() || std::ranges::any_of(file_systems_, [this](const auto& entry) {
    return !entry.second.parked.empty() && MayEnter(entry.second);
  });
}

void RequestGate::TakeOver() {
  const std::lock_guard lock(mutex_);
  std::erase_if(free_, [this](size_t entry) {
    if (memory_.ParkedRequest(entry).empty()) return false;
    Queue(entry);
    parked_.fetch_add(1);
    return true;
  });
}

bool RequestGate::Adopt(ByteSpan request) {
  const std::lock_guard lock(mutex_);
  if (free_.empty() || request.size() > kParkedRoom) return false;
  const size_t entry = free_.back();
  free_.pop_back();
  memory_.Park(entry, request);
  Queue(entry);
  parked_.fetch_add(1);
  return true;
}

void RequestGate::Close() {
  const std::lock_guard lock(mutex_);
  is_closed_ = true;
  changed_.notify_all();
}

// The kernel gives references back to images that are not there yet; their counts are.
void RequestGate::ForgetUnopened(ByteSpan request) {
  const auto header = StructureAt<fuse_in_header>(request, 0);
  if (!header) return;
  if (header->opcode == FUSE_FORGET) {
    const auto forget = StructureAt<fuse_forget_in>(request, sizeof *header);
    if (forget) SubtractLookups(header->nodeid, forget->nlookup);
  } else if (header->opcode == FUSE_BATCH_FORGET) {
    const auto batch = StructureAt<fuse_batch_forget_in>(request, sizeof *header);
    size_t at = sizeof *header + sizeof(fuse_batch_forget_in);
    for (uint32_t i = 0; batch && i < batch->count; ++i, at += sizeof(fuse_forget_one)) {
      const auto one = StructureAt<fuse_forget_one>(request, at);
      if (!one) return;
      SubtractLookups(one->nodeid, one->nlookup);
    }
  }
}

void RequestGate::SubtractLookups(uint64_t node, uint64_t count) {
  const SlotNumber slot = SlotOf(node);
  const auto found = slots_.find(slot);
  if (found == slots_.end() || found->second.is_open) return;
  std::atomic<uint64_t>& lookups = memory_.state().lookups[ToInt(slot) % kMostSlots];
  uint64_t before = lookups.load();
  while (!lookups.compare_exchange_weak(before, before - std::min(before, count))) {
  }
}

}  // namespace firn
