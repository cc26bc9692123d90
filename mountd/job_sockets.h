#ifndef FIRN_MOUNTD_JOB_SOCKETS_H_
#define FIRN_MOUNTD_JOB_SOCKETS_H_

#include <string>
#include <vector>

#include "format/file.h"
#include "mountd/runtime_directory.h"

namespace firn {

// The files of a job's firnd in the runtime directory; `job` is its key (OwnJobKey()).
std::string JobFile(const std::string& job, const char* suffix);
inline constexpr char kSocketSuffix[] = ".sock";
inline constexpr char kLockSuffix[] = ".lock";    // held by the firnd
inline constexpr char kStartSuffix[] = ".start";  // held by who starts one

// Is the open file still what that name leads to?
bool IsStillThere(const RuntimeDirectory& directory, const std::string& name,
                  const FileDescriptor& file);

// The names of the sockets of jobs there.
std::vector<std::string> JobSocketsIn(const RuntimeDirectory& directory);

// Takes away what the firnds of jobs left that were killed.
void RemoveStaleJobFiles(const RuntimeDirectory& directory);

}  // namespace firn

#endif  // FIRN_MOUNTD_JOB_SOCKETS_H_
