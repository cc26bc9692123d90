#ifndef FIRN_MOUNTD_DESCRIPTOR_PASSING_H_
#define FIRN_MOUNTD_DESCRIPTOR_PASSING_H_

#include <cstddef>
#include <span>
#include <vector>

#include "format/file.h"
#include "format/types.h"

namespace firn {

inline constexpr size_t kMostDescriptors = 4;  // in one message

// Sends `bytes` (at least one) and descriptors (1 to kMostDescriptors) with them over a Unix socket
// (SCM_RIGHTS). False where the other side is gone.
bool SendDescriptors(int socket, ByteSpan bytes, std::span<const int> fds);

// Receives what SendDescriptors() or fusermount3 sent; `bytes` is filled as far as the message
// goes. Empty at the end of the connection and where no descriptor came. `flags` as recvmsg(2)
// has them (MSG_DONTWAIT, say).
std::vector<FileDescriptor> ReceiveDescriptors(int socket, MutableByteSpan bytes, int flags);

}  // namespace firn

#endif  // FIRN_MOUNTD_DESCRIPTOR_PASSING_H_
