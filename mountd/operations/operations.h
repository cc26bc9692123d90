#ifndef FIRN_MOUNTD_OPERATIONS_OPERATIONS_H_
#define FIRN_MOUNTD_OPERATIONS_OPERATIONS_H_

#include "mountd/fuse.h"
#include "mountd/tree.h"

// The requests that a session answers, one function each. Each writes exactly one reply as its
// last act, or throws before it wrote one (see Dispatch in mountd/dispatcher.cpp).
namespace firn {

// Nothing in an image ever changes, so the kernel may keep what it was told, misses included,
// for ever: 100 years, in seconds.
inline constexpr double kForever = 100.0 * 365 * 86400;

void ReplyLookup(const Tree& tree, fuse_req_t request, fuse_ino_t parent, const char* name);
void ReplyForget(const Tree& tree, fuse_req_t request, fuse_ino_t node, uint64_t lookups);
void ReplyForgetMulti(const Tree& tree, fuse_req_t request, size_t count, fuse_forget_data* nodes);
void ReplyGetAttributes(const Tree& tree, fuse_req_t request, fuse_ino_t node,
                        fuse_file_info* file);
void ReplyReadLink(const Tree& tree, fuse_req_t request, fuse_ino_t node);
void ReplyOpen(const Tree& tree, fuse_req_t request, fuse_ino_t node, fuse_file_info* file);
void ReplyOpenDirectory(const Tree& tree, fuse_req_t request, fuse_ino_t node,
                        fuse_file_info* file);
void ReplyRead(const Tree& tree, fuse_req_t request, fuse_ino_t node, size_t size, off_t offset,
               fuse_file_info* file);
void ReplyReadDirectory(const Tree& tree, fuse_req_t request, fuse_ino_t node, size_t size,
                        off_t offset, fuse_file_info* file);
void ReplyReadDirectoryPlus(const Tree& tree, fuse_req_t request, fuse_ino_t node, size_t size,
                            off_t offset, fuse_file_info* file);
void ReplyStatFs(const Tree& tree, fuse_req_t request, fuse_ino_t node);

// The entry by which the kernel comes to know an inode.
fuse_entry_param EntryOf(const Tree& tree, const Inode& inode);

}  // namespace firn

#endif  // FIRN_MOUNTD_OPERATIONS_OPERATIONS_H_
