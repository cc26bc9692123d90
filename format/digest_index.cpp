#include "format/digest_index.h"

#include <algorithm>
#include <array>
#include <string>

#include "format/error.h"
#include "format/little_endian.h"

namespace firn {
namespace {

constexpr uint64_t kIndexHeaderLength = 8;
constexpr uint64_t kIndexNumberLength = 4;

// Digests are compared byte by byte, so this has their order.
uint64_t LeadingNumber(const Digest& digest) {
  uint64_t number = 0;
  for (size_t i = 0; i < sizeof number; ++i) {
    number = number << 8 | static_cast<uint64_t>(digest.bytes[i]);
  }
  return number;
}

}  // namespace

uint32_t DigestIndex::Count() const {
  std::array<std::byte, 4> bytes;
  section_.Read(0, bytes);
  return LoadLe<uint32_t>(bytes.data());
}

Digest DigestIndex::DigestOf(InodeNumber file, uint32_t count) const {
  if (ToInt(file) == 0 || ToInt(file) > count) {
    throw Error(ErrorKind::kDamaged,
                "section digests knows no file with inode number " + std::to_string(ToInt(file)),
                "The image is damaged; build it anew.")
        .WithOffset(section_.section().offset);
  }
  Digest digest;
  section_.Read(kIndexHeaderLength + uint64_t{ToInt(file) - 1} * sizeof digest, digest.bytes);
  return digest;
}

InodeNumber DigestIndex::FileAt(uint64_t position, uint32_t count) const {
  if (position >= count) {
    throw Error(ErrorKind::kInternal, "expected a position below " + std::to_string(count) +
                                          " in section digests, found " + std::to_string(position));
  }
  std::array<std::byte, kIndexNumberLength> bytes;
  section_.Read(
      kIndexHeaderLength + uint64_t{count} * sizeof(Digest) + position * kIndexNumberLength, bytes);
  return InodeNumber{LoadLe<uint32_t>(bytes.data())};
}

Digest DigestIndex::DigestAt(uint64_t position, uint32_t count) const {
  return DigestOf(FileAt(position, count), count);
}

Digest DigestIndex::DigestOf(InodeNumber file) const { return DigestOf(file, Count()); }

InodeNumber DigestIndex::FileAt(uint64_t position) const { return FileAt(position, Count()); }

// Digests are spread evenly, so their value tells about where they stand: a few steps, and so a few
// pages, where halving would take twenty. Every other step halves all the same, so that no choice
// of contents makes it slow.
uint64_t DigestIndex::LowerBound(const Digest& digest, uint32_t count) const {
  const uint64_t wanted = LeadingNumber(digest);
  uint64_t low = 0;
  uint64_t high = count;
  uint64_t low_value = 0;
  uint64_t high_value = UINT64_MAX;
  for (bool by_value = true; low < high; by_value = !by_value) {
    uint64_t middle = low + (high - low) / 2;
    if (by_value && low_value < high_value) {
      const double fraction =
          static_cast<double>(wanted - low_value) / static_cast<double>(high_value - low_value);
      middle = low + std::min(high - low - 1,
                              static_cast<uint64_t>(fraction * static_cast<double>(high - low)));
    }
    const Digest found = DigestAt(middle, count);
    if (found < digest) {
      low = middle + 1;
      low_value = LeadingNumber(found);
    } else {
      high = middle;
      high_value = LeadingNumber(found);
    }
  }
  return low;
}

FileRange DigestIndex::FilesWith(const Digest& digest) const {
  const uint32_t count = Count();
  const uint64_t first = LowerBound(digest, count);
  const auto has_digest = [&](uint64_t position) {
    return position < count && DigestAt(position, count) == digest;
  };
  if (!has_digest(first)) return {};
  // Mostly there is one, so the end is looked for from here.
  uint64_t inside = first;
  uint64_t step = 1;
  for (; has_digest(inside + step); step *= 2) inside += step;
  uint64_t end = std::min<uint64_t>(inside + step, count);
  while (inside + 1 < end) {
    const uint64_t middle = inside + (end - inside) / 2;
    (has_digest(middle) ? inside : end) = middle;
  }
  return {.first = first, .count = end - first};
}

}  // namespace firn
