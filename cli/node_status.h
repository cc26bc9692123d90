#ifndef FIRN_CLI_NODE_STATUS_H_
#define FIRN_CLI_NODE_STATUS_H_

#include <nlohmann/json_fwd.hpp>

namespace firn {

// What the node's firnd tells of itself, null where there is none. One that does not answer is
// reported on standard error, and null too.
nlohmann::json AskNodeStatus();

// The same of the firnds of jobs, those of the caller's or for root of every user's: an array,
// without `node`, which may be one of them.
nlohmann::json AskJobStatuses(const nlohmann::json& node);

// For people: its images and who leases them.
void PrintNodeStatus(const nlohmann::json& daemon);

}  // namespace firn

#endif  // FIRN_CLI_NODE_STATUS_H_
