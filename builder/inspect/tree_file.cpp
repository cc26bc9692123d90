#include "builder/inspect/tree_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <span>
#include <system_error>

#include "format/file.h"

namespace firn {

std::optional<std::string> ReadTreeFile(const std::string& path, uint64_t limit) {
  // O_NONBLOCK: a fifo of that name must not hold us up.
  const FileDescriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (!fd.valid() || fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  std::string content(std::min(limit, static_cast<uint64_t>(status.st_size)), '\0');
  content.resize(ReadAt(fd.get(), 0, std::as_writable_bytes(std::span(content))));
  return content;
}

std::vector<std::string> NamesIn(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entry(directory, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace firn
