#include "mountd/metrics_address.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <charconv>
#include <string_view>
#include <system_error>

namespace firn {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";
constexpr uint32_t kLoopbackNetwork = 127;  // the first byte of an IPv4 address

std::optional<in_port_t> PortIn(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return htons(port);
}

}  // namespace

std::optional<MetricsAddress> ParseMetricsAddress(const std::string& text) {
  if (text.find('\0') != std::string::npos) return std::nullopt;
  if (text.starts_with(kUnixPrefix)) {
    std::string path = text.substr(kUnixPrefix.size());
    if (!path.starts_with('/') || path.size() >= sizeof(sockaddr_un::sun_path)) {
      return std::nullopt;
    }
    return MetricsAddress{text, std::move(path)};
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return std::nullopt;
  const std::optional<in_port_t> port = PortIn(std::string_view(text).substr(colon + 1));
  if (!port) return std::nullopt;
  const std::string host = text.substr(0, colon);
  sockaddr_in ipv4{};
  if (inet_pton(AF_INET, host.c_str(), &ipv4.sin_addr) == 1) {
    if (ntohl(ipv4.sin_addr.s_addr) >> 24 != kLoopbackNetwork) return std::nullopt;
    ipv4.sin_family = AF_INET;
    ipv4.sin_port = *port;
    return MetricsAddress{text, ipv4};
  }
  sockaddr_in6 ipv6{};
  const bool is_bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (!is_bracketed ||
      inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &ipv6.sin6_addr) != 1 ||
      !IN6_IS_ADDR_LOOPBACK(&ipv6.sin6_addr)) {
    return std::nullopt;
  }
  ipv6.sin6_family = AF_INET6;
  ipv6.sin6_port = *port;
  return MetricsAddress{text, ipv6};
}

}  // namespace firn
