#ifndef FIRN_MOUNTD_SERVICE_MANAGER_H_
#define FIRN_MOUNTD_SERVICE_MANAGER_H_

#include <chrono>
#include <string>

namespace firn {

// What a service manager is told that listens at $NOTIFY_SOCKET (sd_notify(3)); nothing happens
// where there is none, or where firnd was built without libsystemd.
void TellServiceReady();
void TellServiceStopping();

// May a service manager keep descriptors for the next start (sd_notify(3), FDSTORE)? Whether it
// does is its unit's to say.
bool MayManagerKeepDescriptors();
// Has it keep another one, or let go of that one; names are unique.
void GiveManagerDescriptor(const std::string& name, int fd);
void TakeManagerDescriptor(const std::string& name);
// Returns when it has taken what was told so far, or after some seconds.
void AwaitManager();

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
