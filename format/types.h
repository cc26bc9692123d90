#ifndef FIRN_FORMAT_TYPES_H_
#define FIRN_FORMAT_TYPES_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace firn {

using ByteSpan = std::span<const std::byte>;
using MutableByteSpan = std::span<std::byte>;

// Distinct types for numbers that must not be mixed up; ToInt() gives the number.
enum class ImageOffset : uint64_t {};     // bytes from the start of the image file
enum class InodeNumber : uint32_t {};     // 1..N in one image
enum class InodeReference : uint64_t {};  // SquashFS: metadata block (from the inode table's start)
                                          // << 16 | offset in the decoded block
enum class FragmentIndex : uint32_t {};   // entry of the fragment table

template <typename Enum>
  requires std::is_enum_v<Enum>
constexpr auto ToInt(Enum value) {
  return static_cast<std::underlying_type_t<Enum>>(value);
}

constexpr ImageOffset operator+(ImageOffset offset, uint64_t bytes) {
  return ImageOffset{ToInt(offset) + bytes};
}
constexpr uint64_t operator-(ImageOffset a, ImageOffset b) { return ToInt(a) - ToInt(b); }

// Does [offset, offset + length) lie in [0, limit)? Safe against overflow.
constexpr bool FitsIn(uint64_t offset, uint64_t length, uint64_t limit) {
  return offset <= limit && length <= limit - offset;
}

}  // namespace firn

#endif  // FIRN_FORMAT_TYPES_H_
