#ifndef FIRN_MOUNTD_OPCODE_COUNTERS_H_
#define FIRN_MOUNTD_OPCODE_COUNTERS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "format/types.h"

namespace firn {

// "LOOKUP", "READ", …; "OPCODE_77" for one without a name.
std::string OpcodeName(size_t opcode);

// How many requests of each opcode were read from /dev/fuse, with a handler or without.
// Thread-safe.
class OpcodeCounters {
 public:
  // `request` is what was read: it begins with the protocol's header. Shorter ones count as
  // "malformed".
  void Count(ByteSpan request);

  // By OpcodeName(), those not seen left out.
  std::map<std::string, uint64_t> Snapshot() const;
  uint64_t Total() const;

 private:
  static constexpr size_t kSlots =
      128;  // opcodes known today end below 64; the rest shares the last
  static constexpr size_t kOther = kSlots - 1;

  std::array<std::atomic<uint64_t>, kSlots> counts_{};
  std::atomic<uint64_t> malformed_{0};
};

}  // namespace firn

#endif  // FIRN_MOUNTD_OPCODE_COUNTERS_H_
