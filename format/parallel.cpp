#include "format/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace firn {

void ParallelFor(unsigned jobs, uint64_t count, const std::function<void(uint64_t)>& work) {
  std::atomic<uint64_t> next{0};
  std::mutex mutex;
  std::exception_ptr first_error;
  const auto run = [&] {
    try {
      for (uint64_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) work(i);
    } catch (...) {  // thrown on by the caller's thread, below
      next.store(count);
      const std::lock_guard lock(mutex);
      if (!first_error) first_error = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> threads;
    const uint64_t helpers = std::min<uint64_t>(std::max(jobs, 1u), count);
    for (uint64_t i = 1; i < helpers; ++i) threads.emplace_back(run);
    run();
  }
  if (first_error) std::rethrow_exception(first_error);
}

}  // namespace firn
