#ifndef FIRN_CLI_BUILD_REPORT_H_
#define FIRN_CLI_BUILD_REPORT_H_

#include "builder/environment_build.h"

namespace firn {

// What firn build prints when the image is there. `with_profile`: a profile ordered it.
void PrintBuildJson(const EnvironmentSummary& summary, bool with_profile);
void PrintBuild(const EnvironmentSummary& summary, bool with_profile);

}  // namespace firn

#endif  // FIRN_CLI_BUILD_REPORT_H_
