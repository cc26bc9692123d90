#include "mountd/metrics_address.h"

#include <gtest/gtest.h>

#include <string>

namespace firn {
namespace {

TEST(MetricsAddress, UnixSocketsAndTheLoopbackAreTaken) {
  const auto unix_socket = ParseMetricsAddress("unix:/run/firn/metrics.sock");
  ASSERT_TRUE(unix_socket && unix_socket->is_unix());
  EXPECT_EQ(std::get<std::string>(unix_socket->place), "/run/firn/metrics.sock");
  const auto ipv4 = ParseMetricsAddress("127.0.0.1:9742");
  ASSERT_TRUE(ipv4);
  EXPECT_EQ(std::get<sockaddr_in>(ipv4->place).sin_port, htons(9742));
  EXPECT_EQ(std::get<sockaddr_in>(ipv4->place).sin_addr.s_addr, htonl(INADDR_LOOPBACK));
  const auto ipv6 = ParseMetricsAddress("[::1]:65535");
  ASSERT_TRUE(ipv6);
  EXPECT_TRUE(IN6_IS_ADDR_LOOPBACK(&std::get<sockaddr_in6>(ipv6->place).sin6_addr));
  EXPECT_EQ(ipv6->text, "[::1]:65535");
  EXPECT_TRUE(ParseMetricsAddress("127.3.2.1:1"));
}

TEST(MetricsAddress, NothingElseIs) {
  for (const char* text : {"",
                           ":",
                           "9742",
                           ":9742",
                           "127.0.0.1",
                           "127.0.0.1:",
                           "127.0.0.1:0",
                           "127.0.0.1:65536",
                           "127.0.0.1:-1",
                           "127.0.0.1:97x",
                           "127.1:9742",
                           "0.0.0.0:9742",
                           "192.168.0.1:9742",
                           "128.0.0.1:9742",
                           "[::]:9742",
                           "[::1]",
                           "::1:9742",
                           "[::2]:9742",
                           "[::ffff:127.0.0.1]:1",
                           "[::1:9742",
                           "localhost:9742",
                           "*:9742",
                           "unix:",
                           "unix:metrics.sock",
                           "/run/metrics.sock"}) {
    EXPECT_FALSE(ParseMetricsAddress(text)) << text;
  }
  EXPECT_TRUE(ParseMetricsAddress("unix:/" + std::string(106, 'x')));
  EXPECT_FALSE(ParseMetricsAddress("unix:/" + std::string(107, 'x')));
  EXPECT_FALSE(ParseMetricsAddress(std::string("unix:/a\0b", 9)));
}

}  // namespace
}  // namespace firn
