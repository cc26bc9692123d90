#include "mountd/prefetch_state.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <new>

namespace firn {
namespace {

void* MapState(int fd) {
  void* const mapping =
      mmap(nullptr, sizeof(PrefetchState), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapping == MAP_FAILED) {
    throw SystemError(ErrorKind::kInternal, errno, "cannot map the prefetch's state");
  }
  return mapping;
}

}  // namespace

void SharedPrefetchState::Unmap::operator()(PrefetchState* state) const {
  munmap(state, sizeof *state);
}

SharedPrefetchState::SharedPrefetchState() : fd_(memfd_create("firn-prefetch", MFD_CLOEXEC)) {
  if (!fd_.valid() || ftruncate(fd_.get(), sizeof(PrefetchState)) != 0) {
    throw SystemError(ErrorKind::kInternal, errno, "cannot make the prefetch's state");
  }
  state_.reset(new (MapState(fd_.get())) PrefetchState());
}

SharedPrefetchState::SharedPrefetchState(const FileDescriptor& fd) {
  if (FileSize(fd.get()) != sizeof(PrefetchState)) {
    throw Error(ErrorKind::kInternal, "expected the prefetch's state, found another file");
  }
  state_.reset(std::launder(static_cast<PrefetchState*>(MapState(fd.get()))));
}

}  // namespace firn
