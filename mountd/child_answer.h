#ifndef FIRN_MOUNTD_CHILD_ANSWER_H_
#define FIRN_MOUNTD_CHILD_ANSWER_H_

#include <chrono>
#include <functional>
#include <optional>
#include <string>

namespace firn {

// What `ask` returns in a process of its own, as it may hang in the kernel: at most 4 KiB, empty
// where the process died. nullopt where it does not come within the time. `ask` must not throw.
// Throws kSystem where there can be no process. Not for a process with several threads.
std::optional<std::string> AskInChild(std::chrono::milliseconds patience,
                                      const std::function<std::string()>& ask);

}  // namespace firn

#endif  // FIRN_MOUNTD_CHILD_ANSWER_H_
