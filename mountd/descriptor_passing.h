#ifndef FIRN_MOUNTD_DESCRIPTOR_PASSING_H_
#define FIRN_MOUNTD_DESCRIPTOR_PASSING_H_

#include "format/file.h"
#include "format/types.h"

namespace firn {

// Sends `bytes` (at least one) and a descriptor with them over a Unix socket (SCM_RIGHTS). False
// where the other side is gone.
bool SendDescriptor(int socket, ByteSpan bytes, int fd);

// Receives what SendDescriptor() or fusermount3 sent; `bytes` is filled as far as the message
// goes. Invalid at the end of the connection and where no descriptor came. `flags` as recvmsg(2)
// has them (MSG_DONTWAIT, say).
FileDescriptor ReceiveDescriptor(int socket, MutableByteSpan bytes, int flags);

}  // namespace firn

#endif  // FIRN_MOUNTD_DESCRIPTOR_PASSING_H_
