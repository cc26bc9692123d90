#include "mountd/service_manager.h"

#include <cstdint>
#include <cstdlib>

#ifdef FIRN_HAVE_LIBSYSTEMD
#include <systemd/sd-daemon.h>
#endif

namespace firn {
namespace {

void NotifyManager([[maybe_unused]] const char* state) {
#ifdef FIRN_HAVE_LIBSYSTEMD
  sd_notify(/*unset_environment=*/0, state);
#endif
}

}  // namespace

void TellServiceReady() { NotifyManager("READY=1\nSTATUS=Serving the images of this node"); }

void TellServiceStopping() { NotifyManager("STOPPING=1"); }

bool MayManagerKeepDescriptors() {
#ifdef FIRN_HAVE_LIBSYSTEMD
  return std::getenv("NOTIFY_SOCKET") != nullptr;
#else
  return false;
#endif
}

void GiveManagerDescriptor([[maybe_unused]] const std::string& name, [[maybe_unused]] int fd) {
#ifdef FIRN_HAVE_LIBSYSTEMD
  // FDPOLL=0: else it would let go of /dev/fuse for a moment's error of it.
  const std::string state = "FDSTORE=1\nFDPOLL=0\nFDNAME=" + name;
  sd_pid_notify_with_fds(/*pid=*/0, /*unset_environment=*/0, state.c_str(), &fd, 1);
#endif
}

void TakeManagerDescriptor(const std::string& name) {
  NotifyManager(("FDSTOREREMOVE=1\nFDNAME=" + name).c_str());
}

void AwaitManager() {
#ifdef FIRN_HAVE_LIBSYSTEMD
  constexpr uint64_t kTimeout = 5'000'000;  // microseconds
  sd_notify_barrier(/*unset_environment=*/0, kTimeout);
#endif
}

Watchdog::Watchdog() {
#ifdef FIRN_HAVE_LIBSYSTEMD
  uint64_t microseconds = 0;
  if (sd_watchdog_enabled(/*unset_environment=*/0, &microseconds) > 0) {
    interval_ = std::chrono::microseconds(microseconds / 2);
  }
#endif
}

void Watchdog::Beat(Clock::time_point now) {
  if (interval_ == Clock::duration::zero() || now < next_) return;
  next_ = now + interval_;
  NotifyManager("WATCHDOG=1");
}

}  // namespace firn
