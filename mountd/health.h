#ifndef FIRN_MOUNTD_HEALTH_H_
#define FIRN_MOUNTD_HEALTH_H_

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "format/file.h"

namespace firn {

// Somewhere an image is shown.
struct HealthTarget {
  std::string image;  // its path
  bool foreign = false;
  std::string directory;          // where it is shown, or
  FileDescriptor view;            // a mount of it
  FileDescriptor user_namespace;  // of the view, where it is not the caller's; else invalid
  // Called first, in the process that reads, as it may take for ever too: fills in the rest, and
  // says why, where that cannot be done, the image is skipped.
  std::function<std::optional<std::string>(HealthTarget&)> prepare;
};

struct HealthResult {
  bool ok = false;
  bool skipped = false;
  std::string message;                // what was read, or what is wrong
  std::chrono::microseconds took{0};  // for the read through the mount
};

// Reads a file of the image through the mount, past the kernel's page cache, so that the daemon has
// to answer, and compares it with what the image holds. Waits no longer than `timeout`, whatever
// hangs: the read is done by a process of its own, which is killed and, if need be, left behind.
HealthResult CheckHealth(HealthTarget target, std::chrono::milliseconds timeout);

}  // namespace firn

#endif  // FIRN_MOUNTD_HEALTH_H_
