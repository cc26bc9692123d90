#ifndef FIRN_MOUNTD_VIEW_REQUEST_H_
#define FIRN_MOUNTD_VIEW_REQUEST_H_

#include <sys/types.h>

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "mountd/lease_table.h"
#include "mountd/trust_policy.h"

namespace firn {

// What a client says of an image that it shows to a node's firnd.
struct ShownImageRequest {
  std::string path;  // for messages
  std::optional<uid_t> owner;
  ShownSignatures signatures;
};

// The message "attach" of a client; node_protocol.h has its members.
struct ViewRequest {
  ShownImageRequest image;
  std::vector<ShownImageRequest> below;  // the lowest first
  bool foreign = false;
  bool prefetch = true;
  bool view = true;
  bool place = false;
  LeaseKind lease = LeaseKind::kProcess;
  std::string lease_name;
};

// Any user may send any object. Throws kUsage, or nlohmann::json::exception for a member of another
// type; kDamaged and kUnsupported for signatures.
ViewRequest ViewRequestFrom(const nlohmann::json& message);

}  // namespace firn

#endif  // FIRN_MOUNTD_VIEW_REQUEST_H_
