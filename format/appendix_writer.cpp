#include "format/appendix_writer.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "format/error.h"
#include "format/file.h"
#include "format/layout.h"
#include "format/little_endian.h"
#include "format/page_tree.h"
#include "format/parallel.h"
#include "format/types.h"

namespace firn {
namespace {

// The extents without their hashes: what is before the first block, the blocks, and pieces of the
// rest.
std::vector<Extent> CutExtents(const SquashfsPart& part) {
  std::vector<Extent> extents;
  uint64_t at = 0;
  const auto cut = [&](uint64_t length) {
    Extent& extent = extents.emplace_back();
    extent.offset = ImageOffset{at};
    extent.length = length;
    at += length;
  };
  cut(kFirstDataOffset);
  for (const WrittenBlock& block : part.blocks) {
    if (block.offset != at) throw Error(ErrorKind::kInternal, "the stored blocks have a gap");
    cut(block.length);
  }
  while (at < part.length) cut(std::min(kMetadataExtentLength, part.length - at));
  return extents;
}

void HashExtent(int fd, Extent& extent) {
  thread_local std::vector<std::byte> buffer(kMaxExtentLength);
  const MutableByteSpan bytes = MutableByteSpan(buffer).first(extent.length);
  if (ReadAt(fd, ToInt(extent.offset), bytes) != bytes.size()) {
    throw Error(ErrorKind::kOutput, "the image got shorter while it was written",
                "See that nothing else writes to it.");
  }
  extent.xxh3 = Xxh3Of(bytes);
  extent.sha256 = Sha256Of(bytes);
}

std::vector<std::byte> EncodeDigests(const std::vector<Digest>& digests) {
  std::vector<std::byte> bytes;
  bytes.reserve(8 + digests.size() * (sizeof(Digest) + sizeof(uint32_t)));
  const auto count = static_cast<uint32_t>(digests.size());
  AppendLe<uint32_t>(bytes, count);
  AppendLe<uint32_t>(bytes, 0);
  for (const Digest& digest : digests) {
    bytes.insert(bytes.end(), digest.bytes.begin(), digest.bytes.end());
  }
  std::vector<uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return std::pair(digests[a], a) < std::pair(digests[b], b);
  });
  for (const uint32_t index : order) AppendLe<uint32_t>(bytes, index + 1);
  return bytes;
}

// Puts sections one behind the other.
class SectionWriter {
 public:
  SectionWriter(int fd, uint64_t squashfs_length)
      : fd_(fd), at_(AlignUp(squashfs_length, kSectionsAlignment)) {
    core_.squashfs_length = squashfs_length;
  }

  void Add(std::string_view name, ByteSpan content) {
    at_ = AlignUp(at_, kSectionAlignment);
    const PageTree tree = MakePageTree(content);
    core_.sections.push_back(
        {.name = std::string(name), .offset = at_, .length = content.size(), .digest = tree.root});
    WriteAt(fd_, at_, content);
    WriteAt(fd_, at_ + content.size(), tree.upper_levels);
    at_ += content.size() + tree.upper_levels.size();
  }

  WrittenAppendix Finish() {
    const std::vector<std::byte> core = core_.Encode();
    Footer footer;
    footer.core_offset = AlignUp(at_, kSectionAlignment);
    footer.core_length = core.size();
    footer.image_id = Sha256Of(core);
    const uint64_t footer_offset = footer.core_offset + core.size();
    footer.file_length = footer_offset + kFooterLength;
    WriteAt(fd_, footer.core_offset, core);
    WriteAt(fd_, footer_offset, footer.Encode());
    return {.image_id = footer.image_id, .file_length = footer.file_length};
  }

 private:
  const int fd_;
  uint64_t at_;
  CoreTable core_;
};

}  // namespace

WrittenAppendix WriteAppendix(int fd, const SquashfsPart& part, const AppendixContents& contents,
                              unsigned jobs, const std::function<void()>& poll) {
  std::vector<Extent> extents = CutExtents(part);
  const std::thread::id caller = std::this_thread::get_id();
  ParallelFor(jobs, extents.size(), [&](uint64_t index) {
    HashExtent(fd, extents[index]);
    if (std::this_thread::get_id() == caller) poll();
  });
  std::vector<std::byte> encoded;
  encoded.reserve(extents.size() * Extent::kEncodedLength);
  for (const Extent& extent : extents) extent.AppendTo(encoded);

  SectionWriter sections(fd, part.length);
  sections.Add(kManifestSection, std::as_bytes(std::span(contents.manifest_yaml)));
  sections.Add(kExtentsSection, encoded);
  sections.Add(kDigestsSection, EncodeDigests(part.digests));
  if (!contents.profile.empty()) {
    sections.Add(kProfileSection, std::as_bytes(std::span(contents.profile)));
  }
  for (const AppendixContents::Other& other : contents.others) {
    sections.Add(other.name, other.content);
  }
  return sections.Finish();
}

}  // namespace firn
