#ifndef FIRN_CLI_JOB_SCRATCH_H_
#define FIRN_CLI_JOB_SCRATCH_H_

#include <span>
#include <string>
#include <vector>

#include "cli/job_environment.h"

namespace firn {

// The variables of the images' `scratch` that the caller has not set to something, each once. Who
// has chosen a directory keeps it.
std::vector<std::string> ScratchVariables(std::span<const ImageInJob> images,
                                          const Environment& caller);

// Makes a directory for each of the variables, all in one of the calling process
// ($TMPDIR/firn-HOST-PID-XXXXXX, else in /tmp; 0700), and starts a process that removes them when
// the calling one has ended, whatever it has become by exec, and however it ends. That process is
// nobody's child, has a session of its own, and holds nothing of the caller's but its namespaces:
// to be called before the caller enters the job's.
//
// Where that process is killed too, the directories stay. Needs a process with one thread. Throws
// kOutput where no directory can be made, kSystem where the process cannot be started.
std::vector<VariableChange> MakeScratch(const std::vector<std::string>& variables);

// Removes what is in the directory, follows no symlink, enters no mount. What cannot be removed
// stays. Directories without permissions are opened for it.
void RemoveContents(int directory);

}  // namespace firn

#endif  // FIRN_CLI_JOB_SCRATCH_H_
