#include "format/page_tree.h"

#include <algorithm>

namespace firn {
namespace {

std::vector<std::byte> HashPages(ByteSpan level) {
  std::vector<std::byte> hashes;
  for (size_t at = 0; at < level.size(); at += kPageLength) {
    const Digest digest = Sha256Of(level.subspan(at, std::min(kPageLength, level.size() - at)));
    hashes.insert(hashes.end(), digest.bytes.begin(), digest.bytes.end());
  }
  return hashes;
}

}  // namespace

PageTree MakePageTree(ByteSpan content) {
  PageTree tree;
  std::vector<std::byte> level;
  ByteSpan current = content;
  while (current.size() > kPageLength) {
    level = HashPages(current);
    tree.upper_levels.insert(tree.upper_levels.end(), level.begin(), level.end());
    current = level;
  }
  tree.root = Sha256Of(current);
  return tree;
}

std::vector<PageTreeLevel> PageTreeLevels(uint64_t content_length) {
  std::vector<PageTreeLevel> levels{{0, content_length}};
  while (levels.back().length > kPageLength) {
    const PageTreeLevel& below = levels.back();
    levels.push_back({below.offset + below.length, below.page_count() * sizeof(Digest)});
  }
  return levels;
}

uint64_t StoredSectionLength(uint64_t content_length) {
  const PageTreeLevel top = PageTreeLevels(content_length).back();
  return top.offset + top.length;
}

}  // namespace firn
