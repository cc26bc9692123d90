#ifndef FIRN_CLI_BUILD_SURROUNDINGS_H_
#define FIRN_CLI_BUILD_SURROUNDINGS_H_

#include <string>

#include "builder/environment_build.h"

namespace firn {

struct CheckSettings {
  bool run = true;
  bool keep_failed = false;  // the image that does not pass, as `output` with ".failed" behind it
  std::string output;
};

// What `firn build` gives the builder: a mount namespace of its own, and jobs to check images in.
BuildSurroundings SurroundingsOfBuild(const CheckSettings& checks);

}  // namespace firn

#endif  // FIRN_CLI_BUILD_SURROUNDINGS_H_
