#ifndef FIRN_BUILDER_ARCHIVE_H_
#define FIRN_BUILDER_ARCHIVE_H_

#include <functional>
#include <string>
#include <vector>

#include "builder/source.h"

namespace firn {

// Unpacks a tar archive, compressed or not, into the directory `tree` (absolute, without symlinks).
// Throws kInput, naming the entry, for one with ".." or an absolute name, for links that lead out
// of the archive, for device nodes, sockets and fifos, and for an archive that is damaged. `poll`
// is called often and may throw to give up.
void UnpackArchive(const std::string& archive, const std::string& tree,
                   const std::function<void()>& poll);

// The files as a tar archive that depends on nothing but them: in order of their names, of owner 0,
// of time 0.
std::string PackLocks(std::vector<RealisedSource::LockFile> files);

}  // namespace firn

#endif  // FIRN_BUILDER_ARCHIVE_H_
