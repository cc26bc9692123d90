#ifndef FIRN_MOUNTD_PREFETCH_STATUS_H_
#define FIRN_MOUNTD_PREFETCH_STATUS_H_

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "mountd/prefetch_state.h"

namespace firn {

// How far the prefetch of the image's profile has come.
struct PrefetchStatus {
  std::string stage = "off";
  uint64_t steps = 0;    // that the profile has
  uint64_t done = 0;     // of them
  uint64_t missing = 0;  // paths that the image has not
  uint64_t failed = 0;   // steps that failed
  uint64_t bytes = 0;    // of files, that the kernel was made to read
};

PrefetchStatus PrefetchStatusOf(const PrefetchState& state);
nlohmann::json ToJson(const PrefetchStatus& status);
// Throws nlohmann::json::exception where it is no such object.
PrefetchStatus PrefetchStatusFrom(const nlohmann::json& status);

}  // namespace firn

#endif  // FIRN_MOUNTD_PREFETCH_STATUS_H_
