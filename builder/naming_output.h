#ifndef FIRN_BUILDER_NAMING_OUTPUT_H_
#define FIRN_BUILDER_NAMING_OUTPUT_H_

#include "format/error.h"
#include "format/file.h"

namespace firn {

// Runs `work`, which writes to the output but knows it by its descriptor only: what it throws of
// the output gets the output's path.
template <typename Work>
auto NamingOutput(const OutputFile& output, Work&& work) {
  try {
    return work();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kOutput) throw error.WithPath(output.path());
    throw;
  }
}

}  // namespace firn

#endif  // FIRN_BUILDER_NAMING_OUTPUT_H_
