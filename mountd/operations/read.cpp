#include <sys/uio.h>

#include <cerrno>
#include <vector>

#include "mountd/operations/operations.h"
#include "mountd/read_ahead.h"

namespace firn {
void ReplyRead(const Tree& tree, fuse_req_t request, fuse_ino_t node, size_t size, off_t offset,
               fuse_file_info*) {
  const Inode inode = tree.GetInode(node);
  if (!inode.IsRegular()) {
    fuse_reply_err(request, inode.IsDirectory() ? EISDIR : EINVAL);
    return;
  }
  if (ReadAhead* const ahead = tree.read_ahead()) {
    ahead->Observe(inode, static_cast<uint64_t>(offset), size);
  }
  // The pieces own the decoded blocks until the reply is written from them.
  const std::vector<FilePiece> pieces =
      tree.image().Read(inode, static_cast<uint64_t>(offset), size);
  std::vector<iovec> parts;
  parts.reserve(pieces.size());
  for (const FilePiece& piece : pieces) {
    // writev only reads; iovec knows no const.
    parts.push_back({const_cast<std::byte*>(piece.bytes.data()), piece.bytes.size()});
  }
  fuse_reply_iov(request, parts.data(), static_cast<int>(parts.size()));
}

}  // namespace firn
