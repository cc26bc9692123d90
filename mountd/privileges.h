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

// While it lives, capabilities outlast an exec also where the caller is not called root: in the
// user namespace of an ordinary user.
class CapabilitiesOverExec {
 public:
  CapabilitiesOverExec();
  // They go with the next exec again, and were they kept over the last one: ForgetExec().
  ~CapabilitiesOverExec() { ForgetExec(); }
  CapabilitiesOverExec(const CapabilitiesOverExec&) = delete;
  CapabilitiesOverExec& operator=(const CapabilitiesOverExec&) = delete;

  // To be called after the exec, so that processes which this one starts do not have them.
  static void ForgetExec();
};

}  // namespace firn

#endif  // FIRN_MOUNTD_PRIVILEGES_H_
