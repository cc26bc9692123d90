#ifndef FIRN_FORMAT_PAGE_TREE_H_
#define FIRN_FORMAT_PAGE_TREE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "format/digest.h"
#include "format/types.h"

// Page trees: how sections are hashed (FORMAT.md, "Page trees").
namespace firn {

inline constexpr uint64_t kPageLength = 65536;

struct PageTree {
  std::vector<std::byte> upper_levels;  // what stands behind the content
  Digest root;
};

PageTree MakePageTree(ByteSpan content);

// One level of a section's tree: where it stands (relative to the section) and its length.
struct PageTreeLevel {
  uint64_t offset = 0;
  uint64_t length = 0;

  uint64_t page_count() const { return length == 0 ? 1 : (length + kPageLength - 1) / kPageLength; }
};

// The levels of content of that length, level 0 first. Never more than five: each is 2048 times
// smaller than the one below.
std::vector<PageTreeLevel> PageTreeLevels(uint64_t content_length);

// Bytes that a section of that content length takes in the file, upper levels included.
uint64_t StoredSectionLength(uint64_t content_length);

}  // namespace firn

#endif  // FIRN_FORMAT_PAGE_TREE_H_
