#ifndef FIRN_FORMAT_LITTLE_ENDIAN_H_
#define FIRN_FORMAT_LITTLE_ENDIAN_H_

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <vector>

#include "format/types.h"

namespace firn {

// Numbers as images store them: little-endian, unaligned. The caller has checked the bounds.
static_assert(std::endian::native == std::endian::little,
              "a big-endian machine needs byte swaps in LoadLe and StoreLe");

template <std::unsigned_integral T>
T LoadLe(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <std::unsigned_integral T>
void StoreLe(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

template <std::unsigned_integral T>
void AppendLe(std::vector<std::byte>& to, T value) {
  const size_t at = to.size();
  to.resize(at + sizeof value);
  StoreLe(to.data() + at, value);
}

}  // namespace firn

#endif  // FIRN_FORMAT_LITTLE_ENDIAN_H_
