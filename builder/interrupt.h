#ifndef FIRN_BUILDER_INTERRUPT_H_
#define FIRN_BUILDER_INTERRUPT_H_

#include <signal.h>

#include <array>

namespace firn {

// While it lives, SIGINT, SIGTERM and SIGHUP set a flag instead of ending the process, so that
// what a build began can be taken back. A signal that was ignored before (nohup) stays so. One at
// a time, made on the main thread.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  static constexpr std::array<int, 3> kSignals{SIGINT, SIGTERM, SIGHUP};
  std::array<struct sigaction, kSignals.size()> before_{};
};

// Throws kInterrupted once a signal has come. Any thread may call it.
void ThrowIfInterrupted();

}  // namespace firn

#endif  // FIRN_BUILDER_INTERRUPT_H_
