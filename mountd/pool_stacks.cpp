// A pool's part in views of several shares.

#include <algorithm>
#include <utility>

#include "mountd/pool.h"

namespace firn {

void Pool::CloneSlot(ShareNumber number, ViewMaker::Done done) {
  views_.CloneSlot(shares_.at(number).slot, std::move(done));
}

void Pool::MakeStackView(SlotNumber slot, ShareNumber top, std::vector<FileDescriptor> layers,
                         ViewMaker::Done done) {
  views_.MakeStackView(slot, std::move(layers), shares_.at(top).image.path,
                       settings_.selinux_context, std::move(done));
}

void Pool::DropView(SlotNumber slot) {
  views_.DropView(slot, [](FileDescriptor, std::exception_ptr) {});
}

bool Pool::HasView(SlotNumber slot) {
  return std::ranges::any_of(views_.watches(),
                             [slot](const auto& watch) { return watch.second == slot; });
}

void Pool::AddView(ShareNumber number) {
  const auto found = shares_.find(number);
  if (found != shares_.end()) ++found->second.views;
}

void Pool::RemoveView(ShareNumber number) {
  const auto found = shares_.find(number);
  if (found != shares_.end()) RemoveView(found->second);
}

std::vector<SlotNumber> Pool::TakeGoneStacks() { return std::exchange(gone_stacks_, {}); }

}  // namespace firn
