#ifndef FIRN_MOUNTD_FUSE_H_
#define FIRN_MOUNTD_FUSE_H_

// libfuse's low-level interface, always in the same version.
#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 14)
#include <fuse3/fuse_lowlevel.h>

#endif  // FIRN_MOUNTD_FUSE_H_
