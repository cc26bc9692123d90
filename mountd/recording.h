#ifndef FIRN_MOUNTD_RECORDING_H_
#define FIRN_MOUNTD_RECORDING_H_

#include <functional>
#include <optional>

#include "format/profile.h"

namespace firn {

struct Recording {
  bool ran = false;                // else the child failed to become the command, and has said why
  int exit_code = 0;               // the command's, or the child's; 128 + N where signal N ended it
  std::optional<Profile> profile;  // absent where nothing was asked of the image
};

// Runs `become_command` in a child process: it is given the descriptor for
// LaunchOptions::record_fd and becomes the command that is recorded. Where it throws instead,
// the exception leaves RecordJob() in the child, which has nothing left to do but to report it and
// to exit. In the parent, returns when the last user of the image's session is gone, which may be
// later than the command. Ctrl-C is the command's meanwhile. Needs a process with one thread.
Recording RecordJob(const std::function<void(int record_fd)>& become_command);

}  // namespace firn

#endif  // FIRN_MOUNTD_RECORDING_H_
