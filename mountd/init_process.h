#ifndef FIRN_MOUNTD_INIT_PROCESS_H_
#define FIRN_MOUNTD_INIT_PROCESS_H_

#include <optional>

namespace firn {

// Where the caller is process 1, as in a container: leaves to it what process 1 has to do, and has
// a child go on as firnd, so that neither takes the other's children away. Only while there is one
// thread.
//
// Nothing is returned to who goes on as firnd: the child, or a caller that is not process 1.
// Process 1 reaps what it inherits, passes signals on, and gets the child's exit code, 128 + N
// where signal N ended it; by then it has closed every descriptor but the standard streams. Throws
// kInternal.
std::optional<int> LeaveProcessOne();

// Does the caller end together with everything in its process namespace, as the child of
// LeaveProcessOne() does?
bool IsUnderOwnInit();

}  // namespace firn

#endif  // FIRN_MOUNTD_INIT_PROCESS_H_
