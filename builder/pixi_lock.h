#ifndef FIRN_BUILDER_PIXI_LOCK_H_
#define FIRN_BUILDER_PIXI_LOCK_H_

#include <string>

#include "builder/conda_lock.h"

namespace firn {

// What a pixi.lock of version 6 or 7 has for an environment ("default") and a platform
// ("linux-64"). Packages that it names by a path are taken relative to the directory of `path`,
// which is the lock's. Throws kInput where the text is none, has nothing for them, or names a
// package without a hash: a directory that pixi would build.
// https://docs.rs/rattler_lock has the format.
CondaLockPart ReadPixiLock(const std::string& text, const std::string& path,
                           const std::string& environment, const std::string& platform);

}  // namespace firn

#endif  // FIRN_BUILDER_PIXI_LOCK_H_
