#include "mountd/stacks.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace firn {
namespace {

using nlohmann::json;

std::vector<StackLayer> LayersFrom(const json& saved) {
  std::vector<StackLayer> layers;
  for (const json& layer : saved) {
    layers.push_back({.domain = TrustDomainFrom(layer.at(0)),
                      .number = ShareNumber{layer.at(1).get<uint64_t>()}});
  }
  return layers;
}

}  // namespace

void Stacks::CloneView(const std::vector<StackLayer>& layers, ViewMaker::Done done) {
  for (const StackPointer& stack : stacks_) {
    if (stack->layers != layers || stack->stage == Stage::kDropped) continue;
    if (stack->stage == Stage::kReady) {
      PoolOf(*stack).CloneView(stack->slot, std::move(done));
    } else {
      stack->waiting.push_back(std::move(done));
    }
    return;
  }
  const auto stack = std::make_shared<Stack>();
  stack->layers = layers;
  stack->slot = PoolOf(*stack).TakeSlotNumber();
  stack->waiting.push_back(std::move(done));
  stacks_.push_back(stack);
  for (const StackLayer& layer : layers) pools_.at(layer.domain)->AddView(layer.number);
  Make(stack);
}

void Stacks::Make(const StackPointer& stack) {
  const auto made = [this, stack](FileDescriptor, std::exception_ptr error) {
    TakeMade(stack, std::move(error));
  };
  const size_t next = stack->slots.size();
  if (next == stack->layers.size()) {
    PoolOf(*stack).MakeStackView(stack->slot, stack->layers.back().number,
                                 std::exchange(stack->slots, {}), made);
    return;
  }
  const StackLayer& layer = stack->layers[next];
  pools_.at(layer.domain)
      ->CloneSlot(layer.number, [this, stack, made](FileDescriptor slot, std::exception_ptr error) {
        if (error) {
          made(FileDescriptor(), std::move(error));
        } else {
          stack->slots.push_back(std::move(slot));
          Make(stack);
        }
      });
}

void Stacks::TakeMade(const StackPointer& stack, std::exception_ptr error) {
  const std::vector<ViewMaker::Done> waiting = std::exchange(stack->waiting, {});
  if (error) {
    Forget(stack);
    for (const ViewMaker::Done& done : waiting) done(FileDescriptor(), error);
    return;
  }
  stack->stage = Stage::kReady;
  for (const ViewMaker::Done& done : waiting) PoolOf(*stack).CloneView(stack->slot, done);
}

void Stacks::Drop(Stack& stack) {
  stack.stage = Stage::kDropped;
  PoolOf(stack).DropView(stack.slot);
}

void Stacks::Forget(const StackPointer& stack) {
  for (const StackLayer& layer : stack->layers) pools_.at(layer.domain)->RemoveView(layer.number);
  stacks_.remove(stack);
}

bool Stacks::IsUnleased(const StackLayer& layer) const {
  const Pool& pool = *pools_.at(layer.domain);
  const auto share = pool.shares().find(layer.number);
  return share == pool.shares().end() || share->second.stage == Share::Stage::kUnleased;
}

void Stacks::Handle() {
  for (const auto& [domain, pool] : pools_) {
    for (const SlotNumber slot : pool->TakeGoneStacks()) {
      const auto found = std::ranges::find_if(stacks_, [&](const StackPointer& stack) {
        return stack->slot == slot && stack->layers.back().domain == domain;
      });
      if (found != stacks_.end()) Forget(StackPointer(*found));
    }
  }
  for (const StackPointer& stack : stacks_) {
    const bool is_over =
        stack->stage == Stage::kReady &&
        std::ranges::any_of(stack->layers, [&](const auto& layer) { return IsUnleased(layer); });
    if (is_over) Drop(*stack);
  }
}

std::vector<std::vector<StackLayer>> Stacks::BelowOf(ShareNumber top) const {
  std::vector<std::vector<StackLayer>> below;
  for (const StackPointer& stack : stacks_) {
    if (stack->stage != Stage::kReady || stack->layers.back().number != top) continue;
    below.emplace_back(stack->layers.begin(), std::prev(stack->layers.end()));
  }
  return below;
}

json Stacks::Save() const {
  json stacks = json::array();
  for (const StackPointer& stack : stacks_) {
    json layers = json::array();
    for (const StackLayer& layer : stack->layers) {
      layers.push_back({layer.domain, static_cast<uint64_t>(layer.number)});
    }
    stacks.push_back({{"slot", static_cast<uint32_t>(stack->slot)},
                      {"stage", static_cast<int>(stack->stage)},
                      {"layers", std::move(layers)}});
  }
  return stacks;
}

void Stacks::Restore(const json& saved) {
  for (const json& state : saved) {
    Stack stack;
    stack.layers = LayersFrom(state.at("layers"));
    stack.slot = SlotNumber{state.at("slot").get<uint32_t>()};
    const bool has_pools = std::ranges::all_of(
        stack.layers, [&](const StackLayer& layer) { return pools_.contains(layer.domain); });
    if (stack.layers.empty() || !has_pools) continue;
    Pool& pool = PoolOf(stack);
    // One that was being made no client got: who asked for it asks again.
    const bool is_ready = state.at("stage").get<int>() == static_cast<int>(Stage::kReady);
    if (!is_ready) Drop(stack);
    if (!pool.HasView(stack.slot)) continue;
    if (is_ready) stack.stage = Stage::kReady;
    for (const StackLayer& layer : stack.layers) pools_.at(layer.domain)->AddView(layer.number);
    stacks_.push_back(std::make_shared<Stack>(std::move(stack)));
  }
}

}  // namespace firn
