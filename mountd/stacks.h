#ifndef FIRN_MOUNTD_STACKS_H_
#define FIRN_MOUNTD_STACKS_H_

#include <compare>
#include <list>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "mountd/pool.h"
#include "mountd/trust_domain.h"

namespace firn {

// A share, and the domain of the pool that it is in.
struct StackLayer {
  TrustDomain domain{};
  ShareNumber number{};
  auto operator<=>(const StackLayer&) const = default;
};

// The views of images that are shown over others, as overlays over the slots themselves, so that
// each image has the inodes and pages that those have who see it alone. Who shows the same images
// gets the same view. The view is kept by the pool of the topmost image; as long as somebody has
// it, every share in it has a view more. To be used by one thread.
class Stacks {
 public:
  using Pools = std::map<TrustDomain, std::unique_ptr<Pool>>;

  // `pools` outlives it, and calls back.
  explicit Stacks(Pools& pools) : pools_(pools) {}
  Stacks(const Stacks&) = delete;
  Stacks& operator=(const Stacks&) = delete;

  // A detached mount of what the shares show together, the lowest first; each is ready.
  void CloneView(const std::vector<StackLayer>& layers, ViewMaker::Done done);

  // To be called after the pools were handled: lets go of what nobody has any more, and of views
  // with a share that nobody leases.
  void Handle();

  // What stands below that share in views that are there, the lowest first.
  std::vector<std::vector<StackLayer>> BelowOf(ShareNumber top) const;

  // For the next keeper. Restore() is for before its pools take over.
  nlohmann::json Save() const;
  void Restore(const nlohmann::json& saved);

 private:
  enum class Stage { kMaking, kReady, kDropped };
  struct Stack {
    std::vector<StackLayer> layers;  // the lowest first
    SlotNumber slot{};               // in the pool of the last one
    Stage stage = Stage::kMaking;
    std::vector<FileDescriptor> slots{};  // detached mounts, while it is being made
    std::vector<ViewMaker::Done> waiting{};
  };
  using StackPointer = std::shared_ptr<Stack>;

  // Goes on making it.
  void Make(const StackPointer& stack);
  void TakeMade(const StackPointer& stack, std::exception_ptr error);
  void Drop(Stack& stack);
  void Forget(const StackPointer& stack);
  Pool& PoolOf(const Stack& stack) { return *pools_.at(stack.layers.back().domain); }
  bool IsUnleased(const StackLayer& layer) const;

  Pools& pools_;
  std::list<StackPointer> stacks_;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_STACKS_H_
