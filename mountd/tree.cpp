#include "mountd/tree.h"

#include <algorithm>
#include <string>
#include <utility>

namespace firn {
namespace {

timespec WallClock() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return now;
}

Error WrongSlot(SlotNumber slot, const std::string& expected) {
  return Error(ErrorKind::kInternal, "expected " + expected + ", found slot " + SlotName(slot));
}

SlotTable::Slot& Existing(std::vector<SlotTable::Slot>& slots, SlotNumber number) {
  const auto found = std::ranges::find_if(
      slots, [&](const SlotTable::Slot& slot) { return slot.image->slot() == number; });
  if (found == slots.end()) throw WrongSlot(number, "a slot with an image");
  return *found;
}

}  // namespace

Tree::Tree(RootLayout layout)
    : layout_(layout), table_(std::make_shared<SlotTable>(layout, Slots(), WallClock())) {}

std::shared_ptr<const SlotTable> Tree::Now() const {
  const std::shared_lock lock(mutex_);
  return table_;
}

template <typename Change>
void Tree::Replace(const Change& change) {
  // Dropped last, outside the locks: it may be the last to hold an image, which takes a while.
  std::shared_ptr<const SlotTable> table;
  const std::lock_guard one_at_a_time(changing_);
  Slots slots = Now()->slots();
  change(slots);
  table = std::make_shared<SlotTable>(layout_, std::move(slots), WallClock());
  const std::unique_lock lock(mutex_);
  std::erase_if(former_, [](const auto& former) { return former.expired(); });
  former_.push_back(table_);
  table_.swap(table);
}

void Tree::Attach(std::shared_ptr<AttachedImage> image) {
  const SlotNumber slot = image->slot();
  if (ToInt(slot) == 0) throw WrongSlot(slot, "a slot from 1 on");
  if (layout_ == RootLayout::kImageIsRoot && ToInt(slot) != 1) {
    throw WrongSlot(slot, "slot 1, as the image is the root");
  }
  Replace([&](Slots& slots) {
    const auto place = std::ranges::lower_bound(
        slots, slot, {}, [](const SlotTable::Slot& other) { return other.image->slot(); });
    if (place != slots.end() && place->image->slot() == slot) {
      throw WrongSlot(slot, "an empty slot");
    }
    slots.insert(place, {.image = std::move(image), .shown = true});
  });
}

void Tree::Detach(SlotNumber slot) {
  Replace([&](Slots& slots) { Existing(slots, slot).shown = false; });
}

void Tree::Release(SlotNumber slot) {
  Replace([&](Slots& slots) {
    Existing(slots, slot);
    std::erase_if(slots, [&](const SlotTable::Slot& other) { return other.image->slot() == slot; });
  });
}

std::shared_ptr<AttachedImage> Tree::Get(SlotNumber slot) const {
  const std::shared_ptr<const SlotTable> table = Now();
  const SlotTable::Slot* const found = table->Find(slot);
  if (found == nullptr) throw WrongSlot(slot, "a slot with an image");
  return found->image;
}

uint64_t Tree::LookupCount(SlotNumber slot) const { return Get(slot)->lookups(); }

bool Tree::IsInUse(SlotNumber slot) const {
  const std::shared_ptr<AttachedImage> image = Get(slot);
  const auto shows = [&](const SlotTable* table) {
    const SlotTable::Slot* const found = table == nullptr ? nullptr : table->Find(slot);
    return found != nullptr && found->shown;
  };
  std::vector<std::weak_ptr<const SlotTable>> tables;
  {
    const std::shared_lock lock(mutex_);
    tables = former_;
    tables.push_back(table_);
  }
  for (const auto& table : tables) {
    if (shows(table.lock().get())) return true;
  }
  // What such a request gave out was counted before it let go of its table.
#ifndef FIRN_SANITIZED_THREADS  // which knows no fences
  std::atomic_thread_fence(std::memory_order_acquire);
#endif
  return image->lookups() != 0;
}

}  // namespace firn
