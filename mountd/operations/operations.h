#ifndef FIRN_MOUNTD_OPERATIONS_OPERATIONS_H_
#define FIRN_MOUNTD_OPERATIONS_OPERATIONS_H_

#include "mountd/fuse.h"
#include "mountd/slot_table.h"

// The requests that a session answers, one function each. Each writes exactly one reply as its
// last act, or throws before it wrote one (see Guarded in mountd/dispatcher.cpp).
namespace firn {

// Nothing in an image ever changes, so the kernel may keep what it was told, misses included,
// for ever: 100 years, in seconds. Of the directory above the images it may keep nothing.
inline constexpr double kForever = 100.0 * 365 * 86400;
inline constexpr double kNotAtAll = 0;

void ReplyLookup(const SlotTable& slots, fuse_req_t request, fuse_ino_t parent, const char* name);
void ReplyForget(const SlotTable& slots, fuse_req_t request, fuse_ino_t node, uint64_t lookups);
void ReplyForgetMulti(const SlotTable& slots, fuse_req_t request, size_t count,
                      fuse_forget_data* nodes);
void ReplyGetAttributes(const SlotTable& slots, fuse_req_t request, fuse_ino_t node,
                        fuse_file_info* file);
void ReplyReadLink(const SlotTable& slots, fuse_req_t request, fuse_ino_t node);
void ReplyOpen(const SlotTable& slots, fuse_req_t request, fuse_ino_t node, fuse_file_info* file);
void ReplyOpenDirectory(const SlotTable& slots, fuse_req_t request, fuse_ino_t node,
                        fuse_file_info* file);
void ReplyRead(const SlotTable& slots, fuse_req_t request, fuse_ino_t node, size_t size,
               off_t offset, fuse_file_info* file);
void ReplyReadDirectory(const SlotTable& slots, fuse_req_t request, fuse_ino_t node, size_t size,
                        off_t offset, fuse_file_info* file);
void ReplyReadDirectoryPlus(const SlotTable& slots, fuse_req_t request, fuse_ino_t node,
                            size_t size, off_t offset, fuse_file_info* file);
void ReplyStatFs(const SlotTable& slots, fuse_req_t request, fuse_ino_t node);

}  // namespace firn

#endif  // FIRN_MOUNTD_OPERATIONS_OPERATIONS_H_
