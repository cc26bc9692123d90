#ifndef FIRN_MOUNTD_INHERITED_STATE_H_
#define FIRN_MOUNTD_INHERITED_STATE_H_

#include <string>
#include <vector>

namespace firn {

// Has the calling process, which must have one thread, forget what was meant for the one rank that
// started it, as far as it may: processors and memory nodes that it was bound to, its priority, and
// soft limits below the hard ones.
void ForgetRanksSettings();

// Would a daemon that the caller starts have limits, which nobody may raise again, under which it
// could not serve many: few descriptors, or a CPU time after which it is killed?
bool IsTooLimitedForDaemon();

// The variables ("NAME=VALUE") of the caller's environment that a daemon for others may have: none
// that load code into it, limit it or have it speak to a service manager of the caller's.
std::vector<std::string> EnvironmentForDaemon();

}  // namespace firn

#endif  // FIRN_MOUNTD_INHERITED_STATE_H_
