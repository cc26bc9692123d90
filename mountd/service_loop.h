#ifndef FIRN_MOUNTD_SERVICE_LOOP_H_
#define FIRN_MOUNTD_SERVICE_LOOP_H_

#include <chrono>
#include <string>
#include <string_view>

#include "mountd/attachment.h"
#include "mountd/control_server.h"
#include "mountd/prefetch.h"
#include "mountd/session_status.h"
#include "mountd/supervised_worker.h"

namespace firn {

// SIGTERM, SIGINT and SIGHUP as something to poll; blocked in this thread and those that it starts.
class SignalSource {
 public:
  // Throws kInternal.
  SignalSource();
  int fd() const { return fd_.get(); }
  // The number of a signal that came, 0 where none did.
  int Take() const;

 private:
  FileDescriptor fd_;
};

// What firnd's keeper does while its worker serves: signals, the control socket, looking after the
// worker, the end.
class ServiceLoop {
 public:
  struct Parts {
    SupervisedWorker& worker;
    std::string image;  // its path
    ImageFacts facts;   // of it
    Attachment& attachment;
    Prefetch& prefetch;
    const SignalSource& signals;
    std::string shown_at;  // the mount point; of a job, where it sees the image
    bool is_job = false;   // only a job sees it there
    // Then it is not unmounted at signals: a job's own handlers may still need files.
    bool is_mounted_by_caller = false;
  };

  // Opens the control socket. Throws kSystem.
  explicit ServiceLoop(Parts parts);

  std::string control_path() const { return control_.path(); }

  // Returns when the session has ended: unmounted and the last user gone, or at the second signal
  // (the first one unmounts).
  void Run();

 private:
  // True where the loop is to end.
  bool HandleSignals();
  std::string Answer(std::string_view request) const;
  SessionStatus Status() const;

  const Parts parts_;
  const std::chrono::system_clock::time_point started_ = std::chrono::system_clock::now();
  const std::chrono::steady_clock::time_point started_steady_ = std::chrono::steady_clock::now();
  int signals_seen_ = 0;
  ControlServer control_;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_SERVICE_LOOP_H_
