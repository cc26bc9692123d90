#include "mountd/background.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "format/file.h"
#include "mountd/subprocess.h"

namespace firn {

void OpenStandardStreams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest free number is the one that is missing.
    if (open("/dev/null", O_RDWR) != fd) {
      throw SystemError(ErrorKind::kInternal, errno, "cannot open /dev/null");
    }
  }
}

bool SilenceStandardStreams() {
  const FileDescriptor null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null.valid()) return false;
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(null.get(), fd);
  return true;
}

void CloseOtherDescriptors(std::vector<int> kept) {
  std::erase_if(kept, [](int fd) { return fd <= STDERR_FILENO; });
  std::sort(kept.begin(), kept.end());
  unsigned first = STDERR_FILENO + 1;
  for (const int fd : kept) {
    const auto number = static_cast<unsigned>(fd);
    if (number > first) close_range(first, number - 1, 0);
    first = number + 1;
  }
  close_range(first, ~0u, 0);
}

bool ForkIntoBackground() {
  const pid_t first = fork();
  if (first < 0) throw SystemError(ErrorKind::kInternal, errno, "cannot fork");
  if (first > 0) {
    if (WaitForExit(first) != 0) throw Error(ErrorKind::kInternal, "cannot go to the background");
    return false;
  }
  setsid();
  const pid_t second = fork();
  if (second != 0) _exit(second < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
  umask(077);
  if (chdir("/") != 0 || !SilenceStandardStreams()) _exit(EXIT_FAILURE);
  return true;
}

}  // namespace firn
