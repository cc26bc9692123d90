#ifndef FIRN_MOUNTD_NODE_CLIENT_H_
#define FIRN_MOUNTD_NODE_CLIENT_H_

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "mountd/lease_table.h"
#include "mountd/runtime_directory.h"
#include "mountd/worker_channel.h"

namespace firn {

// What a client wants of the node's firnd.
struct AttachRequest {
  int image = -1;    // open for reading
  std::string path;  // its, absolute
  bool foreign = false;
  bool prefetch = true;
  bool with_view = true;
  LeaseKind lease = LeaseKind::kProcess;  // of the calling process
  std::string name;                       // of the lease; of kMount the mount point
  int target = -1;  // with kMount, of root's firnd: have it mounted on this directory
  // The images that it is to be shown over as one with them, the lowest first.
  struct Below {
    int image = -1;
    std::string path;
  };
  std::vector<Below> below{};
};

struct AttachedView {
  FileDescriptor view;            // a detached mount, for MoveView()
  FileDescriptor user_namespace;  // in which it can be placed; invalid: the caller's
  uint32_t slot = 0;
  std::string id;
  std::string prefix;
  pid_t pid = 0;  // of firnd
};

struct UpgradedNode {
  uint64_t workers = 0;  // that were replaced
  std::string version;   // of the firnd that goes on
};

// A connection to the node's firnd. Where it breaks, as firnd is being restarted, it is made again
// for some seconds, and the request repeated. To be used by one thread.
class NodeClient {
 public:
  // Absent where no firnd serves the node.
  static std::optional<NodeClient> Connect();
  // The same, after an ordinary user's service manager was asked to start that user's firnd: there
  // it lives outside of the job that happens to be the first.
  static std::optional<NodeClient> ConnectOrStart();
  // To the socket of that name, of the directory's owner.
  static std::optional<NodeClient> ConnectIn(const RuntimeDirectory& directory,
                                             const std::string& name);

  // Is it root's?
  bool is_system() const { return is_system_; }

  // Each throws the Error that firnd answers with, or kNoReply.
  AttachedView Attach(const AttachRequest& request);
  // The view of a lease of kMount was mounted.
  void TellPlaced(uint64_t mount_id);
  // Ends a mount that root's firnd made for the caller. Throws kUsage where it has not.
  void Unmount(uint64_t mount_id, bool lazy);
  // Returns how many leases ended.
  uint64_t Detach(const std::string& lease);
  // The user namespace in which its views can be placed; invalid: any. An ordinary user's firnd
  // that has ended is not waited for.
  FileDescriptor UserNamespace();
  nlohmann::json Status();
  UpgradedNode Upgrade();

 private:
  explicit NodeClient(FileDescriptor socket);

  WorkerChannel::Message Ask(const nlohmann::json& request, std::span<const int> fds = {});
  // Nothing where the connection broke before an answer, or none came in time.
  std::optional<WorkerChannel::Message> AskOnce(const nlohmann::json& request,
                                                std::span<const int> fds);

  WorkerChannel channel_;
  bool is_system_ = false;
  bool is_broken_ = false;
  // Of the attach before, for a firnd that was restarted between it and its TellPlaced().
  nlohmann::json unplaced_;
  std::vector<FileDescriptor> unplaced_images_;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_NODE_CLIENT_H_
