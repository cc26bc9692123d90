#include "mountd/known_status.h"

#include <fcntl.h>
#include <sys/sysmacros.h>

namespace firn {
namespace {

timespec TimeOf(const statx_timestamp& stamp) {
  return {.tv_sec = stamp.tv_sec, .tv_nsec = stamp.tv_nsec};
}

}  // namespace

std::optional<struct stat> KnownStatus(int fd) {
  struct statx known {};
  constexpr unsigned kWanted = STATX_BASIC_STATS;
  if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, kWanted, &known) != 0) return std::nullopt;
  if ((known.stx_mask & kWanted) != kWanted) return std::nullopt;
  struct stat status {};
  status.st_dev = makedev(known.stx_dev_major, known.stx_dev_minor);
  status.st_ino = known.stx_ino;
  status.st_mode = known.stx_mode;
  status.st_nlink = known.stx_nlink;
  status.st_uid = known.stx_uid;
  status.st_gid = known.stx_gid;
  status.st_size = static_cast<off_t>(known.stx_size);
  status.st_mtim = TimeOf(known.stx_mtime);
  status.st_ctim = TimeOf(known.stx_ctime);
  return status;
}

}  // namespace firn
