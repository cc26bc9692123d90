#include "mountd/node_daemon.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "mountd/carried_error.h"
#include "mountd/fuse_mount.h"
#include "mountd/json_line.h"
#include "mountd/leased_mounts.h"
#include "mountd/log.h"
#include "mountd/subprocess.h"
#include "mountd/text_file.h"

namespace firn {
namespace {

using nlohmann::json;

constexpr std::chrono::seconds kRequestTimeout{5};
constexpr std::chrono::seconds kAcceptPause{1};
// A pool without any image ends after this time.
constexpr std::chrono::minutes kPoolRest{10};
constexpr std::chrono::milliseconds kLongestSleep{1000};

json Failure(const Error& error) { return {{"error", ErrorToJson(error)}}; }

// Closed with something unread, the socket would give the client an error instead of the answer.
void Refuse(const WorkerChannel& channel, const Error& error) {
  shutdown(channel.fd(), SHUT_RD);
  char ignored = 0;
  while (recv(channel.fd(), &ignored, sizeof ignored, MSG_DONTWAIT) > 0) {
  }
  channel.Send(Failure(error));
}

std::string ProofsPath() {
  const std::string directory = StateDirectory();
  return directory.empty() ? directory : directory + "/proofs.json";
}

// The client's process, for a lease; invalid where it is gone.
FileDescriptor OpenPeer(int socket, pid_t pid) {
#ifdef SO_PEERPIDFD
  int fd = -1;
  socklen_t length = sizeof fd;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &length) == 0) return FileDescriptor(fd);
#else
  static_cast<void>(socket);
#endif
  return OpenProcess(pid);
}

}  // namespace

NodeDaemon::NodeDaemon(const NodeOptions& options, Inheritance inheritance)
    : options_(options),
      store_(inheritance),
      socket_(options.job, inheritance.Take(kLockName), inheritance.Take(kListenerName)),
      leases_(options.limits.leases_per_user),
      mount_table_(OpenFile("/proc/self/mountinfo", O_RDONLY, ErrorKind::kSystem)),
      proofs_(ProofsPath()),
      metrics_(ServeMetrics()) {
  if (InUserNamespace()) {
    user_namespace_ = OpenFile("/proc/self/ns/user", O_RDONLY, ErrorKind::kSystem);
    mount_namespace_ = OpenFile("/proc/self/ns/mnt", O_RDONLY, ErrorKind::kSystem);
  }
  Restore(inheritance);
}

NodeDaemon::~NodeDaemon() = default;

void NodeDaemon::Run(const SignalSource& signals) {
  std::vector<pollfd> set;
  for (;;) {
    const bool accepts = !leaving_ && accept_at_ <= Clock::now();
    set = {{signals.fd(), POLLIN, 0},
           {accepts ? socket_.fd() : -1, POLLIN, 0},
           {mount_table_.get(), POLLPRI, 0}};
    for (const ClientPointer& client : clients_) {
      // Who waits for an answer is not read from, so must not wake anybody either.
      set.push_back({MayAsk(*client) ? client->channel.fd() : -1, POLLIN, 0});
    }
    leases_.AppendPollSet(set);
    if (metrics_) metrics_->AppendPollSet(set);
    placers_.AppendPollSet(set);
    for (const auto& [domain, pool] : pools_) pool->AppendPollSet(set);
    if (poll(set.data(), set.size(), PollTimeout(Clock::now())) < 0 && errno != EINTR) {
      throw SystemError(ErrorKind::kInternal, errno, "cannot poll");
    }
    const Clock::time_point now = Clock::now();
    if (const int number = signals.Take(); number != 0 && !TakeSignal(number, now)) return;
    for (const auto& [domain, pool] : pools_) pool->Handle(now);
    EndLeases(now, set);
    placers_.Handle();
    for (const ClientPointer& client : std::list(clients_)) HandleClient(client, now);
    clients_.remove_if([](const ClientPointer& client) { return client->gone; });
    if (set[1].revents != 0) Accept(now);
    DetachUnused(now);
    stacks_.Handle();
    EndIdlePools(now);
    if (metrics_) metrics_->Handle(set, now);
    KeepEstate();
    SendAnswers();
    if (leaving_ && Leave(now)) return;
    if (IsIdle(now)) {
      store_.Forget();
      return;
    }
    watchdog_.Beat(now);
  }
}

int NodeDaemon::PollTimeout(Clock::time_point now) const {
  if (!answers_.empty()) return 0;
  int timeout = static_cast<int>(kLongestSleep.count());
  for (const auto& [domain, pool] : pools_) timeout = std::min(timeout, pool->PollTimeout(now));
  return timeout;
}

bool NodeDaemon::IsIdle(Clock::time_point now) {
  const bool is_busy =
      !clients_.empty() || !leases_.leases().empty() ||
      std::ranges::any_of(pools_, [](const auto& pool) { return !pool.second->shares().empty(); });
  if (is_busy) busy_at_ = now;
  return options_.idle_exit.count() != 0 && now - busy_at_ >= options_.idle_exit;
}

void NodeDaemon::Accept(Clock::time_point now) {
  for (;;) {
    FileDescriptor fd(accept4(socket_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd.valid()) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EAGAIN) return;
      // Who waits at the socket would wake poll(2) again at once.
      LogWarning("cannot take a client, and try again in a second: {}", strerror(errno));
      accept_at_ = now + kAcceptPause;
      return;
    }
    AddClient(std::move(fd), now);
  }
}

void NodeDaemon::AddClient(FileDescriptor fd, Clock::time_point now) {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return;
  ++counts_.connections;
  if (!socket_.is_system() && peer.uid != geteuid() && peer.uid != 0) return;
  const auto client = std::make_shared<Client>(Client{.channel = WorkerChannel(std::move(fd)),
                                                      .peer = peer,
                                                      .process = {},
                                                      .deadline = now + kRequestTimeout});
  try {
    CheckClientLimit(peer.uid);
  } catch (const Error& error) {
    ++counts_.refused;
    Refuse(client->channel, error);
    return;
  }
  client->process = OpenPeer(client->channel.fd(), peer.pid);
  clients_.push_back(client);
}

void NodeDaemon::HandleClient(const ClientPointer& client, Clock::time_point now) {
  while (MayAsk(*client) && !client->gone) {
    std::optional<WorkerChannel::Message> message = client->channel.Receive();
    if (!message) break;
    client->deadline = now + kRequestTimeout;
    Answer(client, *message);
  }
  // Nobody has to wait for a client that says nothing.
  if (client->channel.ended() || (!client->is_waiting && client->deadline <= now)) {
    client->gone = true;
  }
}

void NodeDaemon::Answer(const ClientPointer& client, WorkerChannel::Message& message) {
  try {
    if (std::optional<json> answer = Do(client, message)) Finish(client, std::move(*answer));
  } catch (const Error& error) {
    Finish(client, Failure(error));
  } catch (const std::exception& error) {
    Finish(client, Failure(Error(ErrorKind::kUsage, error.what())));
  }
}

std::optional<json> NodeDaemon::Do(const ClientPointer& client, WorkerChannel::Message& message) {
  const std::string op = message.body.value("op", std::string());
  if (op == "attach") {
    try {
      Attach(client, message);
    } catch (const std::exception&) {
      ++counts_.attach_failures;
      throw;
    }
    return std::nullopt;
  }
  if (op == "unmount") {
    Unmount(client, message.body);
    return std::nullopt;
  }
  // Others than the user of this firnd could not have mounted it where this one lives.
  const bool is_own = client->peer.uid == 0 || !socket_.is_system();
  if (op == "placed" && !client->unplaced.empty() && is_own) {
    const uint64_t mount_id = message.body.at("mount_id").get<uint64_t>();
    for (Lease& lease : std::exchange(client->unplaced, {})) {
      lease.mount_id = mount_id;
      leases_.Add(std::move(lease));
    }
    return json{{"ok", true}};
  }
  if (op == "detach") {
    const std::string name = message.body.value("lease", std::string());
    return json{{"ok", true}, {"ended", leases_.EndName(name, client->peer.uid).size()}};
  }
  if (op == "namespace") {
    std::vector<FileDescriptor> fds;
    if (InUserNamespace()) {
      fds.push_back(OpenFile("/proc/self/ns/user", O_RDONLY, ErrorKind::kSystem));
    }
    const bool has_own = !fds.empty();
    Finish(client, {{"ok", true}, {"user_namespace", has_own}}, std::move(fds));
    return std::nullopt;
  }
  if (op == "status") {
    // Too long for a message where there are many leases.
    std::vector<FileDescriptor> fds;
    fds.push_back(MakeTextFile(JsonLine(Status(client->peer.uid))));
    Finish(client, {{"ok", true}}, std::move(fds));
    return std::nullopt;
  }
  if (op == "upgrade") {
    Upgrade(client);
    return std::nullopt;
  }
  throw Error(
      ErrorKind::kUsage,
      "expected attach, placed, unmount, detach, namespace, status or upgrade, found '" + op + "'",
      "Check that firn and firnd are of the same version ('firnd --version').");
}

PoolSettings NodeDaemon::SettingsOf(const TrustDomain& domain) {
  return {.domain = domain,
          .check = options_.verify,
          .directory = socket_.directory(),
          .threads = options_.threads,
          .cache_bytes = options_.cache_bytes,
          .max_background = options_.max_background,
          .selinux_context = options_.selinux_context,
          .replacing = [this] { KeepEstate(); },
          .proofs = &proofs_};
}

Pool& NodeDaemon::PoolOf(const TrustDomain& domain) {
  std::unique_ptr<Pool>& pool = pools_[domain];
  if (pool == nullptr) {
    try {
      pool = std::make_unique<Pool>(SettingsOf(domain));
    } catch (const Error&) {
      pools_.erase(domain);
      throw;
    }
  }
  return *pool;
}

void NodeDaemon::Finish(const ClientPointer& client, json answer, std::vector<FileDescriptor> fds) {
  client->is_waiting = false;
  client->awaited.reset();
  client->deadline = Clock::now() + kRequestTimeout;
  answers_.push_back({client, std::move(answer), std::move(fds)});
}

bool NodeDaemon::MayAsk(const Client& client) const {
  return !client.is_waiting && (!leaving_ || !client.unplaced.empty());
}

void NodeDaemon::FinishWithError(const ClientPointer& client, const std::exception_ptr& error) {
  ++counts_.attach_failures;
  try {
    std::rethrow_exception(error);
  } catch (const Error& carried) {
    Finish(client, Failure(carried));
  } catch (const std::exception& other) {
    Finish(client, Failure(Error(ErrorKind::kInternal, other.what())));
  }
}

bool NodeDaemon::IsUsed(ShareNumber share) const {
  return leases_.HasLeases(share) ||
         std::ranges::any_of(clients_, [&](const ClientPointer& client) {
           return std::ranges::any_of(client->unplaced,
                                      [&](const Lease& lease) { return lease.share == share; });
         });
}

void NodeDaemon::EndLeases(Clock::time_point, const std::vector<pollfd>& set) {
  leases_.EndProcesses(set);
  const bool is_table_changed = set[2].revents != 0;
  if (is_table_changed && leases_.HasMounts()) leases_.EndMounts(ReadMountTable());
}

// The last lease gone, an image lingers; then it is detached.
void NodeDaemon::DetachUnused(Clock::time_point now) {
  for (const auto& [domain, pool] : pools_) {
    std::vector<ShareNumber> over;
    for (const auto& [number, share] : pool->shares()) {
      if (share.stage != Share::Stage::kReady || IsUsed(number)) {
        unused_since_.erase(number);
        continue;
      }
      const auto since = unused_since_.try_emplace(number, now).first->second;
      if (now - since >= options_.linger) over.push_back(number);
    }
    for (const ShareNumber number : over) {
      unused_since_.erase(number);
      pool->Detach(number);
    }
  }
}

// Of a pool without images nothing is left but its worker's process, which ends by itself.
void NodeDaemon::EndIdlePools(Clock::time_point now) {
  std::erase_if(left_, [](pid_t pid) { return waitpid(pid, nullptr, WNOHANG) != 0; });
  std::erase_if(last_holders_, [this](const auto& entry) {
    TrustDomain domain;
    return FindShare(entry.first, &domain) == nullptr;
  });
  std::erase_if(pools_, [&](const auto& entry) {
    const auto& [domain, pool] = entry;
    if (!pool->shares().empty()) {
      empty_since_.erase(domain);
      return false;
    }
    if (now - empty_since_.try_emplace(domain, now).first->second < kPoolRest) return false;
    LogInfo("the pool of images {} ends, as it has none", domain.Described());
    retired_ += CountsOf(*pool).Retired();
    if (pool->worker().pid() > 0) left_.push_back(pool->worker().pid());
    empty_since_.erase(domain);
    return true;
  });
}

// An ordinary user's firnd reads the same configuration, and has nothing to serve there.
std::unique_ptr<MetricsServer> NodeDaemon::ServeMetrics() {
  if (options_.metrics.text.empty() || geteuid() != 0) return nullptr;
  try {
    return std::make_unique<MetricsServer>(options_.metrics, [this] { return Metrics(); });
  } catch (const Error& error) {
    // Jobs need their images, with or without metrics.
    LogError("{}", error.what());
    return nullptr;
  }
}

std::string NodeDaemon::Metrics() const {
  return NodeMetricsText({.started = started_,
                          .uptime = Clock::now() - started_steady_,
                          .clients = counts_,
                          .connected = clients_.size(),
                          .leases = leases_.leases(),
                          .pools = pools_,
                          .retired = retired_},
                         options_.metrics.is_unix() ? MetricsDetail::kAll : MetricsDetail::kSums);
}

}  // namespace firn
