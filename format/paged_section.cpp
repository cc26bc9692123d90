#include "format/paged_section.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "format/error.h"
#include "format/file.h"

namespace firn {

PagedSection::PagedSection(int fd, BlockCache& cache, uint32_t image_number, Section section)
    : fd_(fd),
      cache_(cache),
      image_number_(image_number),
      section_(std::move(section)),
      levels_(PageTreeLevels(section_.length)) {}

void PagedSection::Read(uint64_t offset, MutableByteSpan out) const { ReadLevel(0, offset, out); }

void PagedSection::ReadLevel(size_t level, uint64_t offset, MutableByteSpan out) const {
  if (!FitsIn(offset, out.size(), levels_[level].length)) {
    throw Error(ErrorKind::kDamaged,
                "section " + section_.name + " is shorter than what is asked of it",
                "The image is damaged; restore it from a copy.")
        .WithOffset(section_.offset);
  }
  size_t done = 0;
  while (done < out.size()) {
    const uint64_t at = offset + done;
    const std::shared_ptr<const Block> page = Page(level, at / kPageLength);
    const size_t from = at % kPageLength;
    const size_t count = std::min(out.size() - done, page->bytes().size() - from);
    std::memcpy(out.data() + done, page->bytes().data() + from, count);
    done += count;
  }
}

std::shared_ptr<const Block> PagedSection::Page(size_t level, uint64_t index) const {
  // Pages of all sections and levels differ in where they stand in the file.
  const uint64_t position = section_.offset + levels_[level].offset + index * kPageLength;
  return cache_.Get({image_number_, BlockKind::kPage, position},
                    [&] { return LoadPage(level, index); });
}

std::shared_ptr<const Block> PagedSection::LoadPage(size_t level, uint64_t index) const {
  const uint64_t start = index * kPageLength;
  const uint64_t length = std::min(kPageLength, levels_[level].length - start);
  const uint64_t position = section_.offset + levels_[level].offset + start;
  auto page = std::make_shared<Block>(length);
  const size_t got = ReadAt(fd_, position, page->writable());
  if (got != length || Sha256Of(page->bytes()) != ExpectedDigest(level, index)) {
    throw Error(ErrorKind::kDamaged,
                "page " + std::to_string(index) + " of section " + section_.name +
                    " does not have the SHA-256 that it must have",
                "The image is damaged; restore it from a copy.")
        .WithOffset(position);
  }
  return page;
}

Digest PagedSection::ExpectedDigest(size_t level, uint64_t index) const {
  if (level + 1 == levels_.size()) return section_.digest;
  Digest digest;
  ReadLevel(level + 1, index * sizeof digest, digest.bytes);
  return digest;
}

}  // namespace firn
