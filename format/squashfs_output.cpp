#include "format/squashfs_output.h"

#include <sqfs/error.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <string>
#include <utility>

#include "format/error.h"
#include "format/file.h"

namespace firn {
namespace {

std::string_view Describe(int status) {
  switch (status) {
    case SQFS_ERROR_ALLOC:
      return "out of memory";
    case SQFS_ERROR_COMPRESSOR:
      return "the compressor failed";
    case SQFS_ERROR_OVERFLOW:
      return "a size does not fit the format";
    default:
      return "libsquashfs failed";
  }
}

}  // namespace

SquashfsOutput::SquashfsOutput(int fd) : fd_(fd) {
  file_.owner = this;
  file_.base.destroy = [](sqfs_object_t*) {};
  file_.base.copy = [](const sqfs_object_t*) -> sqfs_object_t* { return nullptr; };
  file_.read_at = [](sqfs_file_t* file, sqfs_u64 offset, void* buffer, size_t size) {
    SquashfsOutput& self = *static_cast<Callbacks*>(file)->owner;
    try {
      const MutableByteSpan bytes(static_cast<std::byte*>(buffer), size);
      return ReadAt(self.fd_, offset, bytes) == size ? 0 : int{SQFS_ERROR_OUT_OF_BOUNDS};
    } catch (...) {
      return self.KeepException();
    }
  };
  file_.write_at = [](sqfs_file_t* file, sqfs_u64 offset, const void* buffer, size_t size) {
    SquashfsOutput& self = *static_cast<Callbacks*>(file)->owner;
    try {
      self.WriteAt(offset, ByteSpan(static_cast<const std::byte*>(buffer), size));
      return 0;
    } catch (...) {
      return self.KeepException();
    }
  };
  file_.get_size = [](const sqfs_file_t* file) -> sqfs_u64 {
    return static_cast<const Callbacks*>(file)->owner->size_;
  };
  file_.truncate = [](sqfs_file_t* file, sqfs_u64 size) {
    SquashfsOutput& self = *static_cast<Callbacks*>(file)->owner;
    try {
      self.SetSize(size);
      return 0;
    } catch (...) {
      return self.KeepException();
    }
  };
}

void SquashfsOutput::WriteAt(uint64_t offset, ByteSpan bytes) {
  firn::WriteAt(fd_, offset, bytes);
  size_ = std::max(size_, offset + bytes.size());
}

void SquashfsOutput::SetSize(uint64_t size) {
  if (ftruncate(fd_, static_cast<off_t>(size)) != 0) {
    throw SystemError(ErrorKind::kOutput, errno, "cannot set the length of the image");
  }
  size_ = size;
}

int SquashfsOutput::KeepException() {
  if (!exception_) exception_ = std::current_exception();
  return SQFS_ERROR_IO;
}

void SquashfsOutput::Check(int status, std::string_view what) {
  if (exception_) std::rethrow_exception(std::exchange(exception_, nullptr));
  if (status >= 0) return;
  throw Error(ErrorKind::kInternal, "cannot write " + std::string(what) + ": " +
                                        std::string(Describe(status)) + " (libsquashfs " +
                                        std::to_string(status) + ")");
}

}  // namespace firn
