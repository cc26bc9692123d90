#ifndef FIRN_MOUNTD_BACKGROUND_H_
#define FIRN_MOUNTD_BACKGROUND_H_

#include <vector>

namespace firn {

// Opens /dev/null for those of the standard streams that are closed: the next file opened would
// take their place, and what is printed would go into it. Throws kInternal.
void OpenStandardStreams();

// Has the standard streams lead to /dev/null from now on. Where that cannot be opened they stay.
// Returns whether it could.
bool SilenceStandardStreams();

// Closes every descriptor above standard error but those in `kept`.
void CloseOtherDescriptors(std::vector<int> kept);

// Forks twice, so that the daemon has a session of its own without a terminal and is nobody's
// child. True in the daemon, whose directory is "/", whose umask is 077 and whose standard streams
// are /dev/null; false in the process that called. Only while there is one thread. Throws
// kInternal in the process that called.
bool ForkIntoBackground();

}  // namespace firn

#endif  // FIRN_MOUNTD_BACKGROUND_H_
