#ifndef FIRN_MOUNTD_NODE_DAEMON_H_
#define FIRN_MOUNTD_NODE_DAEMON_H_

#include <sys/socket.h>

#include <chrono>
#include <list>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "mountd/inheritance.h"
#include "mountd/keeper_store.h"
#include "mountd/lease_table.h"
#include "mountd/metrics_server.h"
#include "mountd/node_limits.h"
#include "mountd/node_metrics.h"
#include "mountd/node_socket.h"
#include "mountd/placers.h"
#include "mountd/pool.h"
#include "mountd/service_loop.h"
#include "mountd/service_manager.h"
#include "mountd/stacks.h"
#include "mountd/trust_policy.h"
#include "mountd/view_request.h"
#include "mountd/worker_channel.h"

namespace firn {

struct NodeOptions {
  unsigned threads = 2;  // of each pool's worker, as the following
  size_t cache_bytes = 0;
  unsigned max_background = kDefaultMaxBackground;
  std::string selinux_context;  // of mounts; may be empty
  bool prefetch = true;         // do what images' profiles say
  ExtentCheck verify = ExtentCheck::kChecksum;
  TrustSettings trust{};              // which images are taken
  std::chrono::seconds linger{60};    // an image stays attached so long after its last lease
  std::chrono::seconds idle_exit{0};  // end after so long without image and client; 0: never
  std::string job;                    // serve this job alone (OwnJobKey()); empty: the node
  NodeLimits limits{};
  MetricsAddress metrics{};     // where root's serves them
  std::string directory = "/";  // where relative paths on the command line start
};

// The keeper of a node: clients, leases, and a pool for each trust domain. The root's serves
// every user, another's that user alone. Another one can go on where it was: after a restart by a
// service manager that keeps its descriptors, and by exec of itself. To be used by one thread.
class NodeDaemon {
 public:
  using Clock = std::chrono::steady_clock;

  // Takes the socket, and what the keeper before it left. Throws kSystem, also where another firnd
  // has the socket.
  NodeDaemon(const NodeOptions& options, Inheritance inheritance);
  ~NodeDaemon();
  NodeDaemon(const NodeDaemon&) = delete;
  NodeDaemon& operator=(const NodeDaemon&) = delete;

  const std::string& socket_path() const { return socket_.path(); }

  // Returns after SIGTERM, SIGINT or SIGHUP, or when it was idle for long enough. Who has a view of
  // an image then keeps it: its worker serves on, without a keeper until the next one takes over.
  void Run(const SignalSource& signals);

  // Descriptors of its estate that are of use even to a firnd that cannot take over the rest.
  static constexpr char kLockName[] = "lock";
  static constexpr char kListenerName[] = "listener";
  static constexpr char kUserNamespaceName[] = "user-namespace";
  static constexpr char kMountNamespaceName[] = "mount-namespace";

 private:
  struct Client {
    WorkerChannel channel;
    ucred peer{};
    FileDescriptor process;
    Clock::time_point deadline;
    bool is_waiting = false;               // for its answer
    std::optional<struct stat> awaited{};  // the file of the image that it waits for
    TrustDomain awaited_domain{};          // with it
    std::vector<Lease> unplaced{};         // of a view that it was given
    FileDescriptor target{};               // where that is to be mounted for it
    bool gone = false;
  };
  using ClientPointer = std::shared_ptr<Client>;

  // An answer, to be sent when what it tells was kept for the next keeper.
  struct Answered {
    ClientPointer client;
    nlohmann::json answer;
    std::vector<FileDescriptor> fds;
  };

  // The keeper is about to give way to the next one, and only finishes what is under way.
  struct Leaving {
    Clock::time_point deadline;
    ClientPointer asker;  // waits for the exec; else the process ends
  };

  void Accept(Clock::time_point now);
  void AddClient(FileDescriptor fd, Clock::time_point now);
  void HandleClient(const ClientPointer& client, Clock::time_point now);
  // Is a request of the client's looked at now?
  bool MayAsk(const Client& client) const;
  // The dispatcher of requests: what fails is the answer. Nothing where the answer comes later.
  void Answer(const ClientPointer& client, WorkerChannel::Message& message);
  std::optional<nlohmann::json> Do(const ClientPointer& client, WorkerChannel::Message& message);
  void Attach(const ClientPointer& client, WorkerChannel::Message& message);
  struct Attaching;
  void AttachNext(const std::shared_ptr<Attaching>& attaching);
  void TakeAttached(const std::shared_ptr<Attaching>& attaching, const Share& share);
  // Throws kSystem and kUsage where the client may not, or is gone.
  void LeaseShare(const Attaching& attaching, ShareNumber share);
  // `share` is the topmost.
  void GiveView(const std::shared_ptr<Attaching>& attaching, const Share& share);
  std::unique_ptr<MetricsServer> ServeMetrics();
  std::string Metrics() const;
  // These throw kSystem and kUsage where that client may not have images mounted for it, or not
  // that one.
  void CheckMayPlace(const Client& client, LeaseKind lease) const;
  void CheckMayShow(const Client& client, const ShownImage& image) const;
  void Place(const ClientPointer& client, FileDescriptor view, const nlohmann::json& answer);
  void TakePlaced(const ClientPointer& client, uint64_t mount_id, nlohmann::json answer);
  // Throws kUsage for a mount that was not made so, kMountPoint for another user's.
  void Unmount(const ClientPointer& client, const nlohmann::json& request);
  void Finish(const ClientPointer& client, nlohmann::json answer,
              std::vector<FileDescriptor> fds = {});
  void FinishWithError(const ClientPointer& client, const std::exception_ptr& error);
  void SendAnswers();
  nlohmann::json Status(uid_t caller) const;
  // The images that one is shown over, as far as that caller may see them.
  nlohmann::json BelowOf(const Share& share, uid_t caller) const;
  bool MaySee(ShareNumber share, uid_t caller) const;
  // At that signal.
  void TakeLeave(int number) const;
  // False where the loop is to end.
  bool TakeSignal(int number, Clock::time_point now);
  void Upgrade(const ClientPointer& client);

  // What the next keeper needs, and how it takes that. Pools that cannot be taken are left to their
  // workers.
  Estate MakeEstate();
  void KeepEstate();
  void Restore(Inheritance& inheritance);
  void RestorePool(const nlohmann::json& state, Inheritance& inheritance);
  void RestoreLeases(const nlohmann::json& document);
  void RestoreAsker(const nlohmann::json& document, Inheritance& inheritance);
  // True where the process is to end now.
  bool Leave(Clock::time_point now);
  bool IsSettled() const;
  void ExecOrStay();

  PoolSettings SettingsOf(const TrustDomain& domain);
  Pool& PoolOf(const TrustDomain& domain);
  // What a trusted key has signed of it. Throws kUntrusted where it may not be used.
  std::optional<TrustedSigner> RequireTrusted(const Client& client, const ShownImage& image,
                                              const ShownImageRequest& request);
  // These throw kSystem, with the name of the limit.
  void CheckClientLimit(uid_t user) const;
  void CheckImageLimits(uid_t user, const struct stat& shown, const TrustDomain& domain);
  void DetachLingering(uid_t user, size_t most);
  const Share* FindShare(ShareNumber number, TrustDomain* domain) const;
  void EndIdlePools(Clock::time_point now);
  bool IsUsed(ShareNumber share) const;
  void EndLeases(Clock::time_point now, const std::vector<pollfd>& set);
  void DetachUnused(Clock::time_point now);
  bool IsIdle(Clock::time_point now);
  int PollTimeout(Clock::time_point now) const;

  const NodeOptions options_;
  KeeperStore store_;
  NodeSocket socket_;
  FileDescriptor user_namespace_;   // of an ordinary user's, as the next
  FileDescriptor mount_namespace_;  // of this thread
  std::list<ClientPointer> clients_;
  ClientCounts counts_;
  std::vector<Answered> answers_;
  std::optional<Leaving> leaving_;
  LeaseTable leases_;
  Placers placers_;
  FileDescriptor mount_table_;  // polled for changes
  ProofStore proofs_;           // outlives the pools
  std::map<TrustDomain, std::unique_ptr<Pool>> pools_;
  Stacks stacks_{pools_};
  uint64_t last_share_ = 0;
  std::map<ShareNumber, Clock::time_point> unused_since_;
  std::map<ShareNumber, uid_t> last_holders_;             // of shares that are there
  std::map<TrustDomain, Clock::time_point> empty_since_;  // pools without any share
  std::vector<pid_t> left_;                               // workers of pools that are gone
  Clock::time_point accept_at_{};                         // not before: descriptors had run out
  PoolCounts retired_;                                    // of pools that are gone
  const std::chrono::system_clock::time_point started_ = std::chrono::system_clock::now();
  const Clock::time_point started_steady_ = Clock::now();
  Clock::time_point busy_at_ = Clock::now();
  std::unique_ptr<MetricsServer> metrics_;  // may be absent
  Watchdog watchdog_;
  RateLimiter refusals_{20, std::chrono::seconds(10)};  // that are logged
};

}  // namespace firn

#endif  // FIRN_MOUNTD_NODE_DAEMON_H_
