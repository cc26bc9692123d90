#ifndef FIRN_MOUNTD_ACCESS_RECORDER_H_
#define FIRN_MOUNTD_ACCESS_RECORDER_H_

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "format/profile.h"
#include "format/types.h"
#include "mountd/tree.h"

namespace firn {

// Writes down what the requests of a session ask for, in their order. Names of nodes are learnt
// from LOOKUP requests alone, so the session must not offer READDIRPLUS. Thread-safe.
class AccessRecorder {
 public:
  // `request` is what was read from /dev/fuse. Beyond a million requests nothing more is noted.
  void Observe(ByteSpan request);

  // What was asked for so far of the image in that slot, as paths in it: each path and range once,
  // reads that follow one another joined. What lies above the image's root is left out. Throws
  // where the slot is empty.
  Profile MakeProfile(const Tree& tree, SlotNumber slot = SlotNumber{1}) const;

 private:
  struct Event {
    ProfileAction action;
    NodeId node;       // what is read or listed, or where `name` is looked up
    std::string name;  // of a lookup
    uint64_t offset = 0;
    uint64_t length = 0;
  };

  mutable std::mutex mutex_;
  std::vector<Event> events_;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_ACCESS_RECORDER_H_
