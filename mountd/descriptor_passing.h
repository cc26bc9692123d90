#ifndef FIRN_MOUNTD_DESCRIPTOR_PASSING_H_
#define FIRN_MOUNTD_DESCRIPTOR_PASSING_H_

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "format/file.h"
#include "format/types.h"

namespace firn {

inline constexpr size_t kMostDescriptors = 4;  // in one message

// Sends `bytes` (at least one) and at most kMostDescriptors descriptors with them over a Unix
// socket (SCM_RIGHTS). False where the other side is gone, or takes no more now and `flags` say not
// to wait (MSG_DONTWAIT).
bool SendDescriptors(int socket, ByteSpan bytes, std::span<const int> fds, int flags = 0);

struct ReceivedBytes {
  size_t length = 0;
  std::vector<FileDescriptor> fds;
};

// Receives what SendDescriptors() or fusermount3 sent; `bytes` is filled as far as the message
// goes. `flags` as recvmsg(2) has them (MSG_DONTWAIT, say). Absent where nothing is there yet; of
// length 0 at the end of the connection.
std::optional<ReceivedBytes> ReceiveDescriptors(int socket, MutableByteSpan bytes, int flags);

}  // namespace firn

#endif  // FIRN_MOUNTD_DESCRIPTOR_PASSING_H_
