#include "mountd/equal_files.h"

#include <algorithm>
#include <string>

#include "format/error.h"

namespace firn {
namespace {

// Where the file stands among those of its content.
uint64_t PlaceAmong(const Image& image, const FileRange& files, InodeNumber file) {
  uint64_t low = 0;
  uint64_t high = files.count;
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    if (image.FileInDigestOrder(files.first + middle) < file) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low < files.count && image.FileInDigestOrder(files.first + low) == file) return low;
  throw DamagedError("section digests: inode " + std::to_string(ToInt(file)) +
                     " is not where the index must have it")
      .WithPath(image.path());
}

}  // namespace

bool HaveEqualAttributes(const Inode& a, const Inode& b) {
  // The size follows from the content; it costs nothing to see that it does.
  return a.IsRegular() && a.mode == b.mode && a.uid == b.uid && a.gid == b.gid &&
         a.mtime == b.mtime && a.link_count == b.link_count && a.size == b.size;
}

EqualFile::EqualFile(const Image& image, const Inode& file)
    : file_(file), digest_(image.FileDigest(file.number)) {
  const FileRange files = image.FilesWithDigest(digest_);
  place_ = PlaceAmong(image, files, file.number);
  if (place_ >= kRanked) return;
  for (uint64_t place = 0; place < place_; ++place) {
    const Inode earlier = image.GetInode(image.FileInDigestOrder(files.first + place));
    if (HaveEqualAttributes(file_, earlier)) ++rank_;
  }
}

std::optional<InodeNumber> EqualFile::FindIn(const Image& other) const {
  const FileRange files = other.FilesWithDigest(digest_);
  if (place_ >= kRanked) {
    if (place_ >= files.count) return std::nullopt;
    const Inode inode = other.GetInode(other.FileInDigestOrder(files.first + place_));
    return HaveEqualAttributes(file_, inode) ? std::optional(inode.number) : std::nullopt;
  }
  uint64_t before = 0;
  for (uint64_t place = 0; place < std::min(files.count, kRanked); ++place) {
    const Inode inode = other.GetInode(other.FileInDigestOrder(files.first + place));
    if (HaveEqualAttributes(file_, inode) && before++ == rank_) return inode.number;
  }
  return std::nullopt;
}

}  // namespace firn
