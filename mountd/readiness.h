#ifndef FIRN_MOUNTD_READINESS_H_
#define FIRN_MOUNTD_READINESS_H_

#include <sys/types.h>

#include <string>
#include <string_view>

#include "format/error.h"
#include "mountd/view.h"

namespace firn {

// A running session: what firnd says when it is ready.
struct SessionAddress {
  pid_t pid = 0;
  ViewKind view = ViewKind::kDirect;
  std::string control;  // path of its control socket
};

// The line of JSON (without a newline) by which a starting firnd tells that it is ready, or why it
// is not. Errors keep kind, message, path, offset and remedy.
std::string FormatReady(const SessionAddress& address);
std::string FormatFailure(const Error& error);

// Reads such a line: gives the address, or throws the Error that it carries; kNoReply for a line
// that is neither (an empty one stands for a firnd that died).
SessionAddress ParseReadiness(std::string_view line);

}  // namespace firn

#endif  // FIRN_MOUNTD_READINESS_H_
