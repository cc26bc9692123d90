#ifndef FIRN_MOUNTD_NAMESPACE_H_
#define FIRN_MOUNTD_NAMESPACE_H_

#include "format/file.h"

namespace firn {

enum class JobNamespace {
  kMount,         // a mount namespace: the caller had CAP_SYS_ADMIN
  kUserAndMount,  // and a user namespace, in which the caller's uid and gid are what they were
};

// Moves the calling process, which must have one thread, into a mount namespace of its own whose
// mounts nobody outside sees, while mounts that the host makes later still arrive. A user namespace
// comes with it where the caller may not have the first without. The caller can mount in it until
// its next exec; after that, an ordinary user is without privileges again.
//
// Throws kSystem, naming what forbids it and what to ask the site for.
JobNamespace EnterJobNamespace();

// The same within a user namespace that another process of the caller's keeps; where the
// descriptor is invalid, EnterJobNamespace(). Throws kSystem.
void EnterJobNamespaceIn(const FileDescriptor& user_namespace);

}  // namespace firn

#endif  // FIRN_MOUNTD_NAMESPACE_H_
