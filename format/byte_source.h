#ifndef FIRN_FORMAT_BYTE_SOURCE_H_
#define FIRN_FORMAT_BYTE_SOURCE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "format/types.h"

namespace firn {

// The bytes of a SquashFS part, as a reader may use them. Thread-safe.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  // Fills `buffer` from `offset` on: at least its first `least` bytes, more where they come along.
  // Returns how many. Throws kDamaged where bytes are missing or not what they must be.
  virtual size_t ReadAtLeast(ImageOffset offset, size_t least, MutableByteSpan buffer) const = 0;

  void Read(ImageOffset offset, MutableByteSpan buffer) const {
    ReadAtLeast(offset, buffer.size(), buffer);
  }

  // Tells the kernel that these bytes of the file need no room in its page cache any more.
  virtual void Drop(ImageOffset offset, uint64_t length) const = 0;

  // Bytes read from the file so far.
  uint64_t bytes_read() const { return bytes_read_->load(std::memory_order_relaxed); }
  // From now on they are added up there; `counter` outlives the source. Call it before any read.
  void CountIn(std::atomic<uint64_t>& counter) { bytes_read_ = &counter; }

 protected:
  // pread of all of `buffer`; the file ending early is kDamaged.
  void ReadFile(int fd, ImageOffset offset, MutableByteSpan buffer) const;

 private:
  mutable std::atomic<uint64_t> own_bytes_read_{0};
  std::atomic<uint64_t>* bytes_read_ = &own_bytes_read_;
};

// A foreign file: what is there is taken as it is. `fd` is borrowed.
class PlainSource final : public ByteSource {
 public:
  PlainSource(int fd, uint64_t length) : fd_(fd), length_(length) {}
  size_t ReadAtLeast(ImageOffset offset, size_t least, MutableByteSpan buffer) const override;
  void Drop(ImageOffset offset, uint64_t length) const override;

 private:
  const int fd_;
  const uint64_t length_;
};

}  // namespace firn

#endif  // FIRN_FORMAT_BYTE_SOURCE_H_
