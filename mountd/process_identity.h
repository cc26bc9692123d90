#ifndef FIRN_MOUNTD_PROCESS_IDENTITY_H_
#define FIRN_MOUNTD_PROCESS_IDENTITY_H_

#include <sys/types.h>

#include <cstdint>

#include "format/file.h"

namespace firn {

// A process, told from a later one that got its number.
struct ProcessIdentity {
  pid_t pid = 0;
  uint64_t started = 0;  // clock ticks after the machine's start; 0: unknown, so nobody's

  bool operator==(const ProcessIdentity&) const = default;
};

// Of the process that has the number now; unknown where there is none.
ProcessIdentity IdentityOf(pid_t pid);

// A pidfd of that very process; invalid where it is gone or unknown.
FileDescriptor OpenProcess(const ProcessIdentity& process);

// Kills the process of a pidfd (which may be invalid), and waits a little for its end, which may
// not come where it hangs in the kernel. Was it alive?
bool KillProcess(const FileDescriptor& process);

}  // namespace firn

#endif  // FIRN_MOUNTD_PROCESS_IDENTITY_H_
