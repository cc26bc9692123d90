#include "mountd/text_file.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <span>

#include "format/error.h"

namespace firn {
namespace {

constexpr off_t kLongestText = off_t{64} << 20;

}  // namespace

FileDescriptor MakeTextFile(std::string_view text) {
  FileDescriptor file(memfd_create("firn-text", MFD_CLOEXEC));
  while (file.valid() && !text.empty()) {
    const ssize_t written = write(file.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) break;
    text.remove_prefix(static_cast<size_t>(written));
  }
  if (file.valid() && text.empty()) return file;
  throw SystemError(ErrorKind::kInternal, errno, "cannot make a file in memory");
}

std::string ReadTextFile(const FileDescriptor& file) {
  struct stat status {};
  if (fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
      status.st_size > kLongestText) {
    throw Error(ErrorKind::kNoReply, "expected a text of at most 64 MiB, found another file");
  }
  std::string text(static_cast<size_t>(status.st_size), '\0');
  text.resize(ReadAt(file.get(), 0, std::as_writable_bytes(std::span(text))));
  return text;
}

}  // namespace firn
