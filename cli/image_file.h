#ifndef FIRN_CLI_IMAGE_FILE_H_
#define FIRN_CLI_IMAGE_FILE_H_

#include <string>

#include "format/file.h"

namespace firn {

// Opens the image that the user named, for reading; never waits, as opening a fifo would. Throws
// kInput where there is no such file, it cannot be opened or is not a regular file.
FileDescriptor OpenImageFile(const std::string& path);

}  // namespace firn

#endif  // FIRN_CLI_IMAGE_FILE_H_
