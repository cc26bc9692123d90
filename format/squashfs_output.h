#ifndef FIRN_FORMAT_SQUASHFS_OUTPUT_H_
#define FIRN_FORMAT_SQUASHFS_OUTPUT_H_

#include <sqfs/io.h>
#include <sqfs/predef.h>

#include <cstdint>
#include <exception>
#include <memory>
#include <string_view>

#include "format/types.h"

namespace firn {

struct SqfsDestroy {
  template <typename T>
  void operator()(T* object) const {
    sqfs_destroy(object);
  }
};

// Owns an object of libsquashfs.
template <typename T>
using SqfsHandle = std::unique_ptr<T, SqfsDestroy>;

// The image file as libsquashfs writes it. An error that one of its callbacks meets is kept until
// the library call that met it has returned, and thrown by Check(). Not thread-safe; the library
// calls back on the thread that called it.
class SquashfsOutput {
 public:
  explicit SquashfsOutput(int fd);
  SquashfsOutput(const SquashfsOutput&) = delete;
  SquashfsOutput& operator=(const SquashfsOutput&) = delete;

  sqfs_file_t* handle() { return &file_; }
  uint64_t size() const { return size_; }

  void WriteAt(uint64_t offset, ByteSpan bytes);
  // The next byte goes to `size`; a gap reads as zeros.
  void SetSize(uint64_t size);

  // For callbacks: keeps the exception that is being handled; returns an error of libsquashfs.
  int KeepException();
  // Throws what a callback met; else, if `status` is an error of libsquashfs, kInternal that says
  // what failed.
  void Check(int status, std::string_view what);

 private:
  struct Callbacks : sqfs_file_t {
    SquashfsOutput* owner;
  };

  int fd_;
  uint64_t size_ = 0;
  std::exception_ptr exception_;
  Callbacks file_{};
};

// Throws std::bad_alloc where a constructor of libsquashfs returned none.
template <typename T>
SqfsHandle<T> AdoptSqfs(T* object) {
  if (object == nullptr) throw std::bad_alloc();
  return SqfsHandle<T>(object);
}

}  // namespace firn

#endif  // FIRN_FORMAT_SQUASHFS_OUTPUT_H_
