#ifndef FIRN_FORMAT_PARALLEL_H_
#define FIRN_FORMAT_PARALLEL_H_

#include <cstdint>
#include <functional>

namespace firn {

// Calls `work` with 0, 1, … count - 1 on up to `jobs` threads (at least one), each index once,
// lower ones started first. Returns when all are done; what one of them throws stops the rest and
// is thrown on.
void ParallelFor(unsigned jobs, uint64_t count, const std::function<void(uint64_t)>& work);

}  // namespace firn

#endif  // FIRN_FORMAT_PARALLEL_H_
