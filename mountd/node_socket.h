#ifndef FIRN_MOUNTD_NODE_SOCKET_H_
#define FIRN_MOUNTD_NODE_SOCKET_H_

#include <sys/types.h>

#include <string>

#include "format/file.h"
#include "mountd/runtime_directory.h"

namespace firn {

// The socket of a node's firnd, which listens. One process has it: a lock beside it, which goes
// with the process, tells a stale socket from one in use.
class NodeSocket {
 public:
  // In the caller's runtime directory; root's lets every user connect. With `job` (OwnJobKey()) it
  // is the socket of that job's firnd, for its user alone; one that is just ending is waited for.
  // `lock` and `listener` are what a firnd before this one had: its lock, and its socket, where
  // clients may wait already. An invalid one is made anew. Throws kSystem, without `job` also where
  // another firnd has the lock.
  NodeSocket(const std::string& job, FileDescriptor lock, FileDescriptor listener);
  // Removes the socket, but where it was left.
  ~NodeSocket();
  NodeSocket(const NodeSocket&) = delete;
  NodeSocket& operator=(const NodeSocket&) = delete;

  // The next firnd has it.
  void Leave() { is_left_ = true; }

  int fd() const { return listener_.get(); }
  int lock_fd() const { return lock_.get(); }
  const std::string& path() const { return path_; }
  const std::string& directory() const { return directory_.path(); }
  // Is it root's, for every user?
  bool is_system() const { return is_system_; }

 private:
  void Listen();

  RuntimeDirectory directory_;
  const bool is_system_;
  const std::string name_;
  const std::string lock_name_;
  std::string path_;
  FileDescriptor lock_;
  FileDescriptor listener_;
  bool is_left_ = false;
};

// Connects to the firnd of the node: root's where there is one, else the caller's own, else that
// of the caller's job. An invalid descriptor where there is none.
FileDescriptor ConnectToNode();
// Connects to a socket of that name in the directory; invalid where its owner does not listen.
FileDescriptor ConnectToNodeIn(const RuntimeDirectory& directory, const std::string& name);

}  // namespace firn

#endif  // FIRN_MOUNTD_NODE_SOCKET_H_
