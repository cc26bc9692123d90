#ifndef FIRN_MOUNTD_TEXT_FILE_H_
#define FIRN_MOUNTD_TEXT_FILE_H_

#include <string>
#include <string_view>

#include "format/file.h"

namespace firn {

// A file in memory with that text, to be passed to another process. Throws kInternal.
FileDescriptor MakeTextFile(std::string_view text);

// The whole of such a file, whatever its offset, but no more than 64 MiB. Throws kNoReply where it
// is longer or cannot be read.
std::string ReadTextFile(const FileDescriptor& file);

}  // namespace firn

#endif  // FIRN_MOUNTD_TEXT_FILE_H_
