#ifndef FIRN_CLI_NODE_H_
#define FIRN_CLI_NODE_H_

#include "mountd/node_client.h"

namespace firn {

// As NodeClient::ConnectOrStart(); throws kNoReply where no firnd serves the node.
NodeClient ConnectOrThrow();

}  // namespace firn

#endif  // FIRN_CLI_NODE_H_
