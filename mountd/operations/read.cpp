#include <sys/uio.h>

#include <cerrno>
#include <vector>

#include "mountd/operations/operations.h"

namespace firn {

void ReplyRead(const SlotTable& slots, fuse_req_t request, fuse_ino_t node, size_t size,
               off_t offset, fuse_file_info*) {
  const SlotTable::Located located = slots.Locate(node);
  const Inode inode = located.GetInode();
  if (!inode.IsRegular()) {
    fuse_reply_err(request, inode.IsDirectory() ? EISDIR : EINVAL);
    return;
  }
  located.image.read_ahead().Observe(inode, static_cast<uint64_t>(offset), size);
  // The pieces own the decoded blocks until the reply is written from them.
  const std::vector<FilePiece> pieces =
      located.image.image().Read(inode, static_cast<uint64_t>(offset), size);
  std::vector<iovec> parts;
  parts.reserve(pieces.size());
  for (const FilePiece& piece : pieces) {
    // writev only reads; iovec knows no const.
    parts.push_back({const_cast<std::byte*>(piece.bytes.data()), piece.bytes.size()});
  }
  fuse_reply_iov(request, parts.data(), static_cast<int>(parts.size()));
}

}  // namespace firn
