#include "cli/image_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "format/error.h"

namespace firn {

FileDescriptor OpenImageFile(const std::string& path) {
  FileDescriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid()) {
    const char* remedy = errno == ENOENT   ? "Check the name; 'firn build' makes an image."
                         : errno == EACCES ? "Ask the image's owner for permission to read it."
                                           : "";
    throw SystemError(ErrorKind::kInput, errno, "cannot open the image", remedy).WithPath(path);
  }
  struct stat status {};
  if (fstat(fd.get(), &status) != 0) {
    throw SystemError(ErrorKind::kInternal, errno, "cannot stat").WithPath(path);
  }
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorKind::kInput,
                S_ISDIR(status.st_mode) ? "expected an image, found a directory"
                                        : "expected an image, found something else than a file",
                S_ISDIR(status.st_mode) ? "'firn build' makes an image of a directory."
                                        : "Give the path of a regular file.")
        .WithPath(path);
  }
  return fd;
}

}  // namespace firn
