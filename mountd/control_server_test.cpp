#include "mountd/control_server.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "mountd/control_client.h"

namespace firn {
namespace {

using std::chrono::seconds;

class ControlServerTest : public testing::Test {
 protected:
  ControlServerTest() {
    std::string pattern = testing::TempDir() + "firn-control-XXXXXX";
    if (mkdtemp(pattern.data()) != nullptr) parent_ = pattern;
  }
  ~ControlServerTest() override { std::filesystem::remove_all(parent_); }

  std::string directory() const { return parent_ + "/firn"; }
  std::string socket_path() const { return directory() + "/" + std::to_string(getpid()) + ".sock"; }

  ControlServer MakeServer() const {
    return ControlServer(RuntimeDirectory::MakeAt(directory()),
                         [](std::string_view request) { return "<" + std::string(request) + ">"; });
  }

  FileDescriptor Connect() const {
    FileDescriptor fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket_path().copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return fd;
  }

  // One turn of the loop that drives the server, at a time of the test's choosing.
  static void Turn(ControlServer& server, ControlServer::Clock::time_point now) {
    std::vector<pollfd> set;
    server.AppendPollSet(set);
    poll(set.data(), set.size(), 0);
    server.Handle(set, now);
  }

  static void Send(const FileDescriptor& fd, std::string_view bytes) {
    ASSERT_EQ(send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }

  // What is there to be read; "EOF" at the end.
  static std::string Receive(const FileDescriptor& fd) {
    char bytes[8192];
    const ssize_t got = recv(fd.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno == ECONNRESET)) return "EOF";
    return got < 0 ? std::string() : std::string(bytes, static_cast<size_t>(got));
  }

  const ControlServer::Clock::time_point start_{seconds(1000)};
  std::string parent_;
};

TEST_F(ControlServerTest, AnswersEachLine) {
  ControlServer server = MakeServer();
  const FileDescriptor client = Connect();
  Turn(server, start_);
  Send(client, "a\nb\n");
  Turn(server, start_);
  EXPECT_EQ(Receive(client), "<a>\n<b>\n");
}

TEST_F(ControlServerTest, HalfAMessageHoldsUpNobody) {
  ControlServer server = MakeServer();
  const FileDescriptor slow = Connect();
  const FileDescriptor silent = Connect();
  const FileDescriptor other = Connect();
  Turn(server, start_);
  Send(slow, "half");
  Send(other, "whole\n");
  Turn(server, start_);
  EXPECT_EQ(Receive(slow), "");
  EXPECT_EQ(Receive(other), "<whole>\n");
  Send(slow, " more\n");
  Turn(server, start_ + seconds(1));
  EXPECT_EQ(Receive(slow), "<half more>\n");
  EXPECT_EQ(Receive(silent), "");
}

TEST_F(ControlServerTest, DropsWhoSaysNothingInTime) {
  ControlServer server = MakeServer();
  EXPECT_EQ(server.PollTimeout(start_), -1);
  const FileDescriptor client = Connect();
  Turn(server, start_);
  EXPECT_GT(server.PollTimeout(start_), 0);
  EXPECT_EQ(server.PollTimeout(start_ + seconds(60)), 0);
  Turn(server, start_ + seconds(60));
  EXPECT_EQ(Receive(client), "EOF");
  EXPECT_EQ(server.PollTimeout(start_ + seconds(60)), -1);
}

TEST_F(ControlServerTest, DropsALineWithoutEnd) {
  ControlServer server = MakeServer();
  const FileDescriptor client = Connect();
  Turn(server, start_);
  for (int i = 0; i < 3; ++i) {
    send(client.get(), std::string(4000, 'x').data(), 4000, MSG_NOSIGNAL);
    Turn(server, start_);
  }
  EXPECT_EQ(Receive(client), "EOF");
}

TEST_F(ControlServerTest, BoundsTheNumberOfClients) {
  ControlServer server = MakeServer();
  std::vector<FileDescriptor> clients;
  for (int i = 0; i < 40; ++i) {
    clients.push_back(Connect());
    Turn(server, start_);
  }
  EXPECT_EQ(Receive(clients.front()), "EOF");
  Send(clients.back(), "x\n");
  Turn(server, start_);
  EXPECT_EQ(Receive(clients.back()), "<x>\n");
}

TEST_F(ControlServerTest, ShowsTheSocketToItsUserOnlyAndRemovesIt) {
  {
    const ControlServer server = MakeServer();
    EXPECT_EQ(server.path(), socket_path());
    struct stat status {};
    ASSERT_EQ(stat(directory().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0700u);
    ASSERT_EQ(stat(socket_path().c_str(), &status), 0);
    EXPECT_TRUE(S_ISSOCK(status.st_mode));
  }
  EXPECT_FALSE(std::filesystem::exists(directory()));
}

TEST_F(ControlServerTest, LeavesTheDirectoryToOtherSessions) {
  const RuntimeDirectory made = RuntimeDirectory::MakeAt(directory());
  std::ofstream(directory() + "/1.sock") << "of another";
  { const ControlServer server = MakeServer(); }
  EXPECT_TRUE(std::filesystem::exists(directory() + "/1.sock"));
}

TEST_F(ControlServerTest, WorksBelowAVeryLongPath) {
  parent_ += "/" + std::string(200, 'd');
  std::filesystem::create_directory(parent_);
  const ControlServer server = MakeServer();
  EXPECT_TRUE(std::filesystem::exists(socket_path()));
}

TEST_F(ControlServerTest, RefusesADirectoryThatOthersMayEnter) {
  std::filesystem::create_directory(directory());
  std::filesystem::permissions(directory(), std::filesystem::perms(0755));
  EXPECT_THROW(RuntimeDirectory::MakeAt(directory()), Error);
}

TEST_F(ControlServerTest, RefusesASymlinkInPlaceOfTheDirectory) {
  std::filesystem::create_directory(parent_ + "/elsewhere");
  std::filesystem::permissions(parent_ + "/elsewhere", std::filesystem::perms(0700));
  std::filesystem::create_symlink("elsewhere", directory());
  EXPECT_THROW(RuntimeDirectory::MakeAt(directory()), Error);
}

// A server that is driven while clients of the library ask it.
class Driven {
 public:
  Driven(const std::string& directory, std::string answer)
      : server_(RuntimeDirectory::MakeAt(directory),
                [answer = std::move(answer)](std::string_view) { return answer; }),
        thread_([this](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
            std::vector<pollfd> set;
            server_.AppendPollSet(set);
            poll(set.data(), set.size(), 10);
            server_.Handle(set, ControlServer::Clock::now());
          }
        }) {}

 private:
  ControlServer server_;
  std::jthread thread_;
};

TEST_F(ControlServerTest, IsAskedByTheClient) {
  SessionStatus sent;
  sent.image = "/i.firn";
  sent.requests = {{"READ", 3}};
  sent.age = 7;
  const Driven server(directory(), ToJson(sent).dump());
  const std::vector<SessionStatus> sessions = ListSessionsIn(RuntimeDirectory::MakeAt(directory()));
  ASSERT_EQ(sessions.size(), 1u);
  EXPECT_EQ(ToJson(sessions.front()), ToJson(sent));
}

TEST_F(ControlServerTest, AnAnswerThatIsNoStatusIsLeftOut) {
  for (const char* answer : {"nonsense", "[]", "{\"error\":{}}"}) {
    const Driven server(directory(), answer);
    EXPECT_TRUE(ListSessionsIn(RuntimeDirectory::MakeAt(directory())).empty()) << answer;
  }
}

TEST_F(ControlServerTest, TheSocketOfADeadSessionIsRemoved) {
  const RuntimeDirectory made = RuntimeDirectory::MakeAt(directory());
  {
    const FileDescriptor dead(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    (directory() + "/1.sock").copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  ASSERT_TRUE(std::filesystem::exists(directory() + "/1.sock"));
  EXPECT_TRUE(ListSessionsIn(made).empty());
  EXPECT_FALSE(std::filesystem::exists(directory() + "/1.sock"));
}

}  // namespace
}  // namespace firn
