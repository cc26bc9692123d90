#ifndef FIRN_TESTS_FUZZ_MEMORY_FILE_H_
#define FIRN_TESTS_FUZZ_MEMORY_FILE_H_

#include <sys/mman.h>

#include "format/file.h"
#include "format/types.h"

namespace firn::fuzz {

// A file in memory with these bytes. Throws kOutput.
inline FileDescriptor MemoryFile(ByteSpan bytes) {
  FileDescriptor file(memfd_create("fuzz", MFD_CLOEXEC));
  WriteAt(file.get(), 0, bytes);
  return file;
}

}  // namespace firn::fuzz

#endif  // FIRN_TESTS_FUZZ_MEMORY_FILE_H_
