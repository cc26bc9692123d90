#ifndef FIRN_MOUNTD_OUTSIDE_LAUNCHER_H_
#define FIRN_MOUNTD_OUTSIDE_LAUNCHER_H_

#include <sys/types.h>

#include <functional>

#include "format/file.h"
#include "mountd/launch.h"

namespace firn {

// A helper process that stays in the namespaces the caller is about to leave, and starts there the
// sessions of mounts that the caller then makes: a firnd inside the job's mount namespace would
// keep it alive for ever.
//
// The helper runs until this object is destroyed, which waits for it, so the caller has no child
// left. Needs a process with one thread.
class OutsideLauncher {
 public:
  // Starts the session of image `index` on the mount; runs in the helper.
  using Launch = std::function<SessionAddress(size_t index, const JobMount& mount)>;

  explicit OutsideLauncher(Launch launch);
  ~OutsideLauncher();
  OutsideLauncher(const OutsideLauncher&) = delete;
  OutsideLauncher& operator=(const OutsideLauncher&) = delete;

  // Returns once `launch` has returned in the helper; throws what it threw, or kNoReply.
  SessionAddress Start(size_t index, const JobMount& mount);

 private:
  [[noreturn]] static void Serve(const FileDescriptor& socket, const Launch& launch);

  FileDescriptor socket_;
  pid_t helper_ = -1;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_OUTSIDE_LAUNCHER_H_
