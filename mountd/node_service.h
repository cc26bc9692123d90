#ifndef FIRN_MOUNTD_NODE_SERVICE_H_
#define FIRN_MOUNTD_NODE_SERVICE_H_

#include <string>

#include "mountd/log_settings.h"
#include "mountd/node_daemon.h"

namespace firn {

struct NodeServiceOptions {
  NodeOptions node;
  int ready_fd = -1;  // where to tell readiness
  LogSettings log;
  bool foreground = false;
};

// Serves the node until it is told to end. An ordinary user's moves into a user namespace of its
// own first, in which it may mount. Returns and throws as RunDaemon() does.
int RunNodeService(const NodeServiceOptions& options);

}  // namespace firn

#endif  // FIRN_MOUNTD_NODE_SERVICE_H_
