#include "mountd/prefetch_status.h"

#include <nlohmann/json.hpp>
#include <string_view>

namespace firn {
namespace {

std::string_view NameOfStage(PrefetchStage stage) {
  switch (stage) {
    case PrefetchStage::kOff:
      return "off";
    case PrefetchStage::kRunning:
      return "running";
    case PrefetchStage::kDone:
      return "done";
    case PrefetchStage::kOutOfMemory:
      return "stopped: memory is short";
    case PrefetchStage::kLimit:
      return "stopped: limit reached";
    case PrefetchStage::kFailed:
      return "failed";
  }
  return "off";
}

}  // namespace

PrefetchStatus PrefetchStatusOf(const PrefetchState& state) {
  PrefetchStatus status;
  status.stage = NameOfStage(state.stage.load());
  status.steps = state.steps.load();
  status.done = state.done.load();
  status.missing = state.missing.load();
  status.failed = state.failed.load();
  status.bytes = state.bytes.load();
  return status;
}

PrefetchStatus PrefetchStatusFrom(const nlohmann::json& status) {
  return {.stage = status.at("stage"),
          .steps = status.at("steps"),
          .done = status.at("done"),
          .missing = status.at("missing"),
          .failed = status.at("failed"),
          .bytes = status.at("bytes")};
}

nlohmann::json ToJson(const PrefetchStatus& status) {
  return {{"stage", status.stage},     {"steps", status.steps},   {"done", status.done},
          {"missing", status.missing}, {"failed", status.failed}, {"bytes", status.bytes}};
}

}  // namespace firn
