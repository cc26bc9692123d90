#ifndef FIRN_MOUNTD_JOB_DAEMON_H_
#define FIRN_MOUNTD_JOB_DAEMON_H_

#include <optional>
#include <string>
#include <vector>

#include "mountd/node_client.h"

namespace firn {

// A firnd that can show images to the calling process: that of the node, or of the user, which the
// user's service manager is asked to start; else, for an ordinary user, that of the caller's job
// (OwnJobKey()), which is started where there is none, once however many ask at a time.
//
// Absent where there is none and none can be started, and where its views could not be placed: the
// caller is in another user namespace. Leaves no child process.
std::optional<NodeClient> ConnectForJob();

// The firnds of jobs, those of the caller's or for root of every user's.
std::vector<NodeClient> ConnectToJobs();
// The one with that socket (its path, as its status has it).
std::optional<NodeClient> ConnectToJob(const std::string& socket);

}  // namespace firn

#endif  // FIRN_MOUNTD_JOB_DAEMON_H_
