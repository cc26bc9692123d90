#include "mountd/service_manager.h"

#include <cstdint>

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
