#include "mountd/state_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <span>

namespace firn {
namespace {

// Where the text stands. Smaller than a page and written by one call, it changes as a whole: a
// signal ends no write(2) to memory within a page.
struct StateHeader {
  uint64_t magic = kMagic;
  uint64_t offset = 0;
  uint64_t length = 0;

  static constexpr uint64_t kMagic = 0x6574617473'6e7266;
};

constexpr uint64_t kStatePage = 4096;

bool ReadHeader(int fd, StateHeader& header) {
  return pread(fd, &header, sizeof header, 0) == sizeof header &&
         header.magic == StateHeader::kMagic && header.offset >= kStatePage;
}

void WriteState(int fd, const void* bytes, size_t length, uint64_t offset) {
  const auto* from = static_cast<const char*>(bytes);
  for (size_t done = 0; done < length;) {
    const ssize_t written =
        pwrite(fd, from + done, length - done, static_cast<off_t>(offset + done));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw SystemError(ErrorKind::kInternal, errno, "cannot write firnd's state");
    done += static_cast<size_t>(written);
  }
}

}  // namespace

StateFile::StateFile() : fd_(memfd_create("firn-state", MFD_CLOEXEC)) {
  if (!fd_.valid()) throw SystemError(ErrorKind::kInternal, errno, "cannot make firnd's state");
}

void StateFile::Write(std::string_view text) {
  StateHeader before;
  StateHeader header{.offset = kStatePage, .length = text.size()};
  // Beside the text before: in front of it where there is room, else behind it.
  if (ReadHeader(fd_.get(), before) && header.offset + header.length > before.offset) {
    const uint64_t end = before.offset + before.length;
    header.offset = (end + kStatePage - 1) / kStatePage * kStatePage;
  }
  WriteState(fd_.get(), text.data(), text.size(), header.offset);
  WriteState(fd_.get(), &header, sizeof header, 0);
}

std::optional<std::string> StateFile::Read() const {
  StateHeader header;
  if (!ReadHeader(fd_.get(), header)) return std::nullopt;
  if (const uint64_t size = FileSize(fd_.get());
      header.offset > size || header.length > size - header.offset) {
    return std::nullopt;
  }
  std::string text(header.length, '\0');
  const size_t got = ReadAt(fd_.get(), header.offset, std::as_writable_bytes(std::span(text)));
  return got == text.size() ? std::optional(std::move(text)) : std::nullopt;
}

}  // namespace firn
