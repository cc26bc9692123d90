#ifndef FIRN_MOUNTD_METRICS_ADDRESS_H_
#define FIRN_MOUNTD_METRICS_ADDRESS_H_

#include <netinet/in.h>

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

namespace firn {

// Where metrics are served: a Unix socket, which its mode keeps for its owner, or a port that only
// programs on this machine reach, though those of every user.
struct MetricsAddress {
  std::string text;  // as it was written; empty: nowhere
  // The path of a Unix socket, or a port of the loopback.
  std::variant<std::string, sockaddr_in, sockaddr_in6> place;

  bool is_unix() const { return std::holds_alternative<std::string>(place); }
};

inline constexpr char kMetricsAddresses[] =
    "unix:/PATH of at most 107 bytes or a port of the loopback such as 127.0.0.1:9742 or "
    "[::1]:9742";

// Nothing for what is not as kMetricsAddresses says.
std::optional<MetricsAddress> ParseMetricsAddress(const std::string& text);

}  // namespace firn

#endif  // FIRN_MOUNTD_METRICS_ADDRESS_H_
