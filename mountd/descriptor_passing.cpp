#include "mountd/descriptor_passing.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace firn {
namespace {

// A message of some bytes and room for one descriptor.
struct Message {
  Message(std::byte* bytes, size_t length) : data{bytes, length} {
    header.msg_iov = &data;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
  }

  iovec data;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr header{};
};

}  // namespace

bool SendDescriptor(int socket, ByteSpan bytes, int fd) {
  // sendmsg only reads; iovec knows no const.
  Message message(const_cast<std::byte*>(bytes.data()), bytes.size());
  cmsghdr* header = CMSG_FIRSTHDR(&message.header);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  ssize_t sent;
  do {
    sent = sendmsg(socket, &message.header, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(bytes.size());
}

FileDescriptor ReceiveDescriptor(int socket, MutableByteSpan bytes, int flags) {
  Message message(bytes.data(), bytes.size());
  ssize_t got;
  do {
    got = recvmsg(socket, &message.header, MSG_CMSG_CLOEXEC | flags);
  } while (got < 0 && errno == EINTR);
  const cmsghdr* header = got >= 0 ? CMSG_FIRSTHDR(&message.header) : nullptr;
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
    return FileDescriptor();
  }
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return FileDescriptor(fd);
}

}  // namespace firn
