#ifndef FIRN_MOUNTD_KNOWN_STATUS_H_
#define FIRN_MOUNTD_KNOWN_STATUS_H_

#include <sys/stat.h>

#include <optional>

namespace firn {

// What the kernel knows of an open file without asking its file system, which may not answer: from
// when the file was opened, or later. As fstat(2) has it: file system, number, type and mode,
// owner, size and times. Absent where it does not say.
std::optional<struct stat> KnownStatus(int fd);

}  // namespace firn

#endif  // FIRN_MOUNTD_KNOWN_STATUS_H_
