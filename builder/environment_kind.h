#ifndef FIRN_BUILDER_ENVIRONMENT_KIND_H_
#define FIRN_BUILDER_ENVIRONMENT_KIND_H_

#include <string>

#include "format/manifest.h"

namespace firn {

// By the marks that tools leave in a prefix; to be asked before the rules take them out. Runs
// nothing.
EnvironmentKind FindEnvironmentKind(const std::string& directory);

}  // namespace firn

#endif  // FIRN_BUILDER_ENVIRONMENT_KIND_H_
