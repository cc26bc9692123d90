#ifndef FIRN_MOUNTD_PLACERS_H_
#define FIRN_MOUNTD_PLACERS_H_

#include <poll.h>

#include <exception>
#include <functional>
#include <list>
#include <vector>

#include "format/file.h"
#include "mountd/placer.h"

namespace firn {

// The keeper's side of placers: starts them, and never waits for one. To be used by one thread.
class Placers {
 public:
  // With the id of the mount, or what went wrong.
  using Done = std::function<void(uint64_t mount_id, std::exception_ptr error)>;

  Placers() = default;
  ~Placers();
  Placers(const Placers&) = delete;
  Placers& operator=(const Placers&) = delete;

  // `options.ready_fd` is set here; other descriptors remain the caller's. Throws kSystem where
  // none can be started, or the user has too many that hang.
  void Start(PlacerOptions options, Done done);

  // For poll(2). Handle() calls back for those that are through.
  void AppendPollSet(std::vector<pollfd>& set) const;
  void Handle();

 private:
  struct Placer {
    pid_t pid = -1;
    uid_t user = 0;
    FileDescriptor answer;
    Done done;
  };

  std::list<Placer> placers_;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_PLACERS_H_
