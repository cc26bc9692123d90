#include "mountd/session_memory.h"

#include <linux/fuse.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

namespace firn {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kRingOffset = (sizeof(SessionState) + kPage - 1) / kPage * kPage;
constexpr size_t kParkedOffset = kRingOffset + kMostServingThreads * kRequestRoom;
constexpr size_t kMemoryLength = kParkedOffset + kMostParked * kParkedRoom;

static_assert(kRequestRoom % kPage == 0);
static_assert(std::atomic<uint64_t>::is_always_lock_free);

void* MapMemory(int fd) {
  void* const mapping = mmap(nullptr, kMemoryLength, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapping == MAP_FAILED) {
    throw SystemError(ErrorKind::kInternal, errno, "cannot map a session's memory");
  }
  return mapping;
}

std::atomic_ref<uint64_t> NumberIn(std::byte* room) {
  static_assert(offsetof(fuse_in_header, unique) % sizeof(uint64_t) == 0);
  return std::atomic_ref(*reinterpret_cast<uint64_t*>(room + offsetof(fuse_in_header, unique)));
}

ByteSpan PendingIn(MutableByteSpan room) {
  if (NumberIn(room.data()).load(std::memory_order_acquire) == 0) return {};
  fuse_in_header header;
  std::memcpy(&header, room.data(), sizeof header);
  return room.first(std::clamp<size_t>(header.len, sizeof header, room.size()));
}

}  // namespace

void SessionMemory::Unmap::operator()(SessionState* state) const { munmap(state, kMemoryLength); }

SessionMemory::SessionMemory() : fd_(memfd_create("firn-session", MFD_CLOEXEC)) {
  if (!fd_.valid() || ftruncate(fd_.get(), kMemoryLength) != 0) {
    throw SystemError(ErrorKind::kInternal, errno, "cannot make a session's memory");
  }
  state_.reset(new (MapMemory(fd_.get())) SessionState());
}

SessionMemory::SessionMemory(FileDescriptor fd) : fd_(std::move(fd)) {
  if (FileSize(fd_.get()) != kMemoryLength) {
    throw Error(ErrorKind::kInternal, "expected a session's memory, found another file");
  }
  state_.reset(std::launder(static_cast<SessionState*>(MapMemory(fd_.get()))));
  if (state_->layout != SessionState::kLayout) {
    throw Error(ErrorKind::kInternal,
                "expected a session's memory of layout " + std::to_string(SessionState::kLayout) +
                    ", found layout " + std::to_string(state_->layout),
                "This firnd cannot take over from one of another version.");
  }
}

std::byte* SessionMemory::ring() const {
  return reinterpret_cast<std::byte*>(state_.get()) + kRingOffset;
}

MutableByteSpan SessionMemory::RoomOf(size_t thread) const {
  return {ring() + thread * kRequestRoom, kRequestRoom};
}

ByteSpan SessionMemory::PendingRequest(size_t thread) const { return PendingIn(RoomOf(thread)); }

void SessionMemory::MarkAnswered(size_t thread) const {
  NumberIn(RoomOf(thread).data()).store(0, std::memory_order_release);
}

std::byte* SessionMemory::ParkedRoomOf(size_t entry) const {
  return reinterpret_cast<std::byte*>(state_.get()) + kParkedOffset + entry * kParkedRoom;
}

void SessionMemory::Park(size_t entry, ByteSpan request) const {
  std::byte* const room = ParkedRoomOf(entry);
  fuse_in_header header;
  std::memcpy(&header, request.data(), sizeof header);
  RequestState& state = state_->parked[entry];
  state.being_tried.store(0);
  state.crashes.store(0);
  // Its number last: without it the entry holds nothing.
  const uint64_t number = std::exchange(header.unique, 0);
  std::memcpy(room + sizeof header, request.data() + sizeof header, request.size() - sizeof header);
  std::memcpy(room, &header, sizeof header);
  NumberIn(room).store(number, std::memory_order_release);
}

ByteSpan SessionMemory::ParkedRequest(size_t entry) const {
  return PendingIn({ParkedRoomOf(entry), kParkedRoom});
}

void SessionMemory::MarkParkedAnswered(size_t entry) const {
  NumberIn(ParkedRoomOf(entry)).store(0, std::memory_order_release);
}

}  // namespace firn
