#ifndef FIRN_CLI_NODE_STATUS_H_
#define FIRN_CLI_NODE_STATUS_H_

#include <nlohmann/json_fwd.hpp>

namespace firn {

// What the node's firnd tells of itself, null where there is none. One that does not answer is
// reported on standard error, and null too.
nlohmann::json AskNodeStatus();

// For people: its images and who leases them.
void PrintNodeStatus(const nlohmann::json& daemon);

}  // namespace firn

#endif  // FIRN_CLI_NODE_STATUS_H_
