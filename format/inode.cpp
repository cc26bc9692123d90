#include "format/inode.h"

#include <sys/stat.h>

namespace firn {

mode_t TypeBits(FileType type) {
  switch (type) {
    case FileType::kDirectory:
      return S_IFDIR;
    case FileType::kRegular:
      return S_IFREG;
    case FileType::kSymlink:
      return S_IFLNK;
    case FileType::kBlockDevice:
      return S_IFBLK;
    case FileType::kCharacterDevice:
      return S_IFCHR;
    case FileType::kFifo:
      return S_IFIFO;
    case FileType::kSocket:
      return S_IFSOCK;
  }
  return 0;
}

}  // namespace firn
