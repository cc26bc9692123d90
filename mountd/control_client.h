#ifndef FIRN_MOUNTD_CONTROL_CLIENT_H_
#define FIRN_MOUNTD_CONTROL_CLIENT_H_

#include <optional>
#include <string>
#include <vector>

#include "mountd/runtime_directory.h"
#include "mountd/session_status.h"

namespace firn {

// The sessions whose control sockets the caller may see, in order of mount point. Those that do
// not answer within a few seconds are left out; sockets that a dead firnd left are removed.
std::vector<SessionStatus> ListSessions();

// Has the session end its prefetch, which holds the mount; returns when it has. A session that
// does not answer is left alone.
void StopPrefetch(const SessionStatus& session);

// Sends the session a request, a line of JSON without the newline, and gives its answer; nothing
// where it does not answer.
std::optional<std::string> AskSession(const SessionStatus& session, const std::string& request);

// Those of one directory, in no order.
std::vector<SessionStatus> ListSessionsIn(const RuntimeDirectory& directory);

}  // namespace firn

#endif  // FIRN_MOUNTD_CONTROL_CLIENT_H_
