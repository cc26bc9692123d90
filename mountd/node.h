#ifndef FIRN_MOUNTD_NODE_H_
#define FIRN_MOUNTD_NODE_H_

#include <sys/stat.h>

#include <cstdint>
#include <string>

#include "format/error.h"
#include "format/inode.h"
#include "mountd/attached_image.h"

namespace firn {

// What a FUSE superblock names an inode by, and the st_ino that programs see: the slot in the upper
// 32 bits, the inode number in the lower ones.
using NodeId = uint64_t;
inline constexpr NodeId kRootNode = 1;  // fixed by the protocol; of no slot

constexpr NodeId MakeNodeId(SlotNumber slot, InodeNumber inode) {
  return NodeId{ToInt(slot)} << 32 | ToInt(inode);
}
constexpr SlotNumber SlotOf(NodeId node) { return SlotNumber{static_cast<uint32_t>(node >> 32)}; }
constexpr InodeNumber InodeOf(NodeId node) { return InodeNumber{static_cast<uint32_t>(node)}; }

// A node of a slot in which there is no image (any more): answered with ESTALE, upon which the
// kernel walks the path again and asks anew for what it remembered; EIO would leave it at that.
class StaleNodeError : public Error {
 public:
  explicit StaleNodeError(NodeId node)
      : Error(ErrorKind::kInternal, "expected a node of an attached image, found inode " +
                                        std::to_string(ToInt(InodeOf(node))) + " of slot " +
                                        std::to_string(ToInt(SlotOf(node)))) {}
};

// The attributes of an inode that goes by that node id.
struct stat StatOf(const Inode& inode, NodeId node);

}  // namespace firn

#endif  // FIRN_MOUNTD_NODE_H_
