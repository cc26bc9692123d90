#ifndef FIRN_CLI_BUILD_SURROUNDINGS_H_
#define FIRN_CLI_BUILD_SURROUNDINGS_H_

#include "builder/environment_build.h"

namespace firn {

// What `firn build` gives the builder: a mount namespace of its own, and jobs to check images in.
BuildSurroundings SurroundingsOfBuild();

}  // namespace firn

#endif  // FIRN_CLI_BUILD_SURROUNDINGS_H_
