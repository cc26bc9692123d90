#include "cli/node.h"

#include <utility>

#include "format/error.h"

namespace firn {

NodeClient ConnectOrThrow() {
  std::optional<NodeClient> node = NodeClient::ConnectOrStart();
  if (node) return std::move(*node);
  throw Error(ErrorKind::kNoReply, "no firnd serves this node",
              "Start one ('firnd --node'), as root for every user, or ask the site to.");
}

}  // namespace firn
