#ifndef FIRN_MOUNTD_PLACER_H_
#define FIRN_MOUNTD_PLACER_H_

#include <cstdint>
#include <string>

#include "mountd/mount_rules.h"

namespace firn {

// What a placer is to do: to mount a view on a directory for a user, or to unmount one. It is a
// process of its own, as the directory's file system may never answer.
struct PlacerOptions {
  Identity user;
  int view_fd = -1;       // a detached mount, with `target_fd`
  int target_fd = -1;     // the directory (may be O_PATH), in the placer's mount namespace
  uint64_t mount_id = 0;  // else: unmount this one, which is at `target`
  std::string target;     // absolute path; with `view_fd` for messages only
  bool lazy = false;
  int ready_fd = -1;  // gets a line of JSON: {"mount_id": N} or {"error": …}
};

// Returns the process's exit code; what hinders it is told on `ready_fd`.
int RunPlacer(const PlacerOptions& options);

// The id of the mount that the descriptor stands in; 0 where it is unknown. Asks no file system.
uint64_t MountIdOf(int fd);

}  // namespace firn

#endif  // FIRN_MOUNTD_PLACER_H_
