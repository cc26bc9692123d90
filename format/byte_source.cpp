#include "format/byte_source.h"

#include <string>

#include "format/error.h"
#include "format/file.h"

namespace firn {

void ByteSource::ReadFile(int fd, ImageOffset offset, MutableByteSpan buffer) const {
  const size_t got = ReadAt(fd, ToInt(offset), buffer);
  bytes_read_->fetch_add(got, std::memory_order_relaxed);
  if (got != buffer.size()) {
    throw Error(ErrorKind::kDamaged, "the file ends early",
                "It was cut short after it was opened; restore it from a copy.")
        .WithOffset(ToInt(offset) + got);
  }
}

size_t PlainSource::ReadAtLeast(ImageOffset offset, size_t least, MutableByteSpan buffer) const {
  if (!FitsIn(ToInt(offset), least, length_)) {
    throw DamagedError(
        "a table points to " + std::to_string(least) + " bytes behind the end of the file system",
        ToInt(offset));
  }
  ReadFile(fd_, offset, buffer.first(least));
  return least;
}

void PlainSource::Drop(ImageOffset offset, uint64_t length) const {
  DropCached(fd_, ToInt(offset), length);
}

}  // namespace firn
