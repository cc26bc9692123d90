#include "mountd/metrics_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "format/error.h"
#include "mountd/runtime_directory.h"
#include "mountd/subprocess.h"

namespace firn {
namespace {

// Longer than what a socket takes at once.
const std::string kText = "# text\n" + std::string(4 << 20, 'x') + "\n";

class MetricsServerTest : public testing::Test {
 protected:
  MetricsServerTest() {
    char name[] = "/tmp/firn-metrics-XXXXXX";
    directory_ = mkdtemp(name);
    path_ = directory_ + "/socket";
  }
  ~MetricsServerTest() override {
    Stop();
    std::filesystem::remove_all(directory_);
  }

  void Start() {
    server_.emplace(*ParseMetricsAddress("unix:" + path_), [] { return kText; });
    thread_ = std::thread([this] {
      while (!ending_) {
        std::vector<pollfd> set;
        server_->AppendPollSet(set);
        poll(set.data(), set.size(), 10);
        server_->Handle(set, MetricsServer::Clock::now() + lateness_.load());
      }
    });
  }
  void Stop() {
    ending_ = true;
    if (thread_.joinable()) thread_.join();
    server_.reset();
  }

  FileDescriptor Connect() const {
    FileDescriptor client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un address = SocketAddress(path_);
    EXPECT_EQ(connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    return client;
  }
  static void Say(const FileDescriptor& client, const std::string& text) {
    ASSERT_EQ(send(client.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  std::string Ask(const std::string& request) const {
    const FileDescriptor client = Connect();
    Say(client, request);
    return ReadAll(client.get(), size_t{64} << 20);
  }

  std::string directory_;
  std::string path_;
  std::optional<MetricsServer> server_;
  std::atomic<std::chrono::seconds> lateness_{std::chrono::seconds(0)};
  std::atomic<bool> ending_ = false;
  std::thread thread_;
};

TEST_F(MetricsServerTest, AnswersWhatItKnowsAndRefusesTheRest) {
  Start();
  const std::string told = Ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(told.starts_with("HTTP/1.1 200 OK\r\n"));
  EXPECT_TRUE(told.ends_with("\r\n\r\n" + kText));
  EXPECT_NE(told.find("\r\nContent-Length: " + std::to_string(kText.size()) + "\r\n"),
            std::string::npos);
  EXPECT_TRUE(Ask("HEAD /metrics?a=b HTTP/1.0\r\n\r\n").ends_with("\r\n\r\n"));
  EXPECT_TRUE(Ask("GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
  EXPECT_TRUE(Ask("POST /metrics HTTP/1.1\r\n\r\nbody").starts_with("HTTP/1.1 405 "));
  EXPECT_TRUE(Ask("nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(Ask("GET /metrics\r\n\r\n").starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(Ask(std::string(20'000, 'x')).starts_with("HTTP/1.1 431 "));
}

TEST_F(MetricsServerTest, ARequestMayComeInPieces) {
  Start();
  const FileDescriptor client = Connect();
  for (const char letter : std::string("GET /metrics HTTP/1.1\r\n\r\n")) Say(client, {letter});
  EXPECT_TRUE(ReadAll(client.get(), size_t{64} << 20).ends_with(kText));
}

TEST_F(MetricsServerTest, SilentAndSlowClientsHinderNobody) {
  Start();
  std::vector<FileDescriptor> others;
  for (int count = 0; count < 40; ++count) {
    others.push_back(Connect());
    if (count % 2 == 0) Say(others.back(), "GET /metrics HTTP/1.1\r\n\r\n");  // and takes nothing
  }
  EXPECT_TRUE(Ask("GET /metrics HTTP/1.1\r\n\r\n").ends_with(kText));
}

TEST_F(MetricsServerTest, TheSlowAreDropped) {
  Start();
  const FileDescriptor silent = Connect();
  EXPECT_TRUE(Ask("GET /metrics HTTP/1.1\r\n\r\n").ends_with(kText));  // accepted after it
  lateness_ = std::chrono::seconds(60);
  EXPECT_EQ(ReadAll(silent.get(), 1), "");
}

TEST_F(MetricsServerTest, TheSocketIsItsOwnersAloneAndIsRemoved) {
  {
    Start();
    struct stat status {};
    ASSERT_EQ(stat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600u);
    EXPECT_THROW(MetricsServer(*ParseMetricsAddress("unix:" + path_), [] { return kText; }), Error);
  }
  Stop();
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(MetricsServerTest, ADeadOnesSocketIsReplacedAndOtherFilesAreNot) {
  {
    const FileDescriptor dead(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un address = SocketAddress(path_);
    ASSERT_EQ(bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  Start();
  EXPECT_TRUE(Ask("GET /metrics HTTP/1.1\r\n\r\n").ends_with(kText));
  const std::string file = directory_ + "/file";
  ASSERT_TRUE(FileDescriptor(open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)).valid());
  EXPECT_THROW(MetricsServer(*ParseMetricsAddress("unix:" + file), [] { return kText; }), Error);
  EXPECT_TRUE(std::filesystem::is_regular_file(file));
}

}  // namespace
}  // namespace firn
