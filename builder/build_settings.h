#ifndef FIRN_BUILDER_BUILD_SETTINGS_H_
#define FIRN_BUILDER_BUILD_SETTINGS_H_

#include <cstdint>
#include <string>

#include "builder/build.h"

namespace firn {

// The options of a build, checked, with the defaults filled in.
struct BuildSettings {
  std::string name;
  std::string prefix;
  int64_t time = 0;  // seconds since 1970
  unsigned jobs = 1;
};

// `jobs`, 0 for as many as there are processors. Throws kUsage for more than there may be.
unsigned ResolveJobs(unsigned jobs);

// What --name and --prefix say: the name as it is, the prefix without doubled and trailing slashes.
// Throw kUsage for what cannot be one.
std::string CheckedName(const std::string& name);
std::string CheckedPrefix(const std::string& prefix);

// `real_directory`: the absolute real path of the directory. Throws kUsage.
BuildSettings ResolveSettings(const BuildOptions& options, const std::string& real_directory);

}  // namespace firn

#endif  // FIRN_BUILDER_BUILD_SETTINGS_H_
