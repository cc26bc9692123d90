#ifndef FIRN_MOUNTD_SERVICE_MANAGER_H_
#define FIRN_MOUNTD_SERVICE_MANAGER_H_

#include <chrono>

namespace firn {

// What a service manager is told that listens at $NOTIFY_SOCKET (sd_notify(3)); nothing happens
// where there is none, or where firnd was built without libsystemd.
void TellServiceReady();
void TellServiceStopping();

// Tells the service manager that the service is alive, where that wants to know ($WATCHDOG_USEC).
class Watchdog {
 public:
  using Clock = std::chrono::steady_clock;

  Watchdog();
  // To be called often; tells at half of the time that the manager waits.
  void Beat(Clock::time_point now);

 private:
  Clock::duration interval_{0};  // 0: nobody wants to know
  Clock::time_point next_{};
};

}  // namespace firn

#endif  // FIRN_MOUNTD_SERVICE_MANAGER_H_
