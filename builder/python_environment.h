#ifndef FIRN_BUILDER_PYTHON_ENVIRONMENT_H_
#define FIRN_BUILDER_PYTHON_ENVIRONMENT_H_

#include <string>
#include <vector>

namespace firn {

// NAME=VALUE of what a Python that the build runs sees of the caller's environment: what its loader
// may need, and what makes every run the same.
std::vector<std::string> PythonEnvironment();

}  // namespace firn

#endif  // FIRN_BUILDER_PYTHON_ENVIRONMENT_H_
