#ifndef FIRN_MOUNTD_PRIVILEGES_H_
#define FIRN_MOUNTD_PRIVILEGES_H_

namespace firn {

// Gives up for good what the calling process, which must have one thread, may do beyond an ordinary
// user: root becomes nobody, capabilities go, and no program that it starts gets any. Throws
// kInternal.
void DropPrivileges();

// Leaves the calling process, and the threads that it starts, the system calls that serving takes:
// reading and writing descriptors that it has or is sent, memory, threads, clocks. Opening files,
// sockets, processes and everything else fail with EPERM from then on. Throws kSystem.
void ConfineToServing();

}  // namespace firn

#endif  // FIRN_MOUNTD_PRIVILEGES_H_
