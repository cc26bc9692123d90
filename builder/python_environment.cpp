#include "builder/python_environment.h"

#include <cstdlib>

namespace firn {

std::vector<std::string> PythonEnvironment() {
  std::vector<std::string> environment{"LC_ALL=C.UTF-8", "PYTHONHASHSEED=0",
                                       "PYTHONDONTWRITEBYTECODE=1", "PYTHONNOUSERSITE=1"};
  for (const char* name : {"PATH", "LD_LIBRARY_PATH", "LD_PRELOAD"}) {
    if (const char* value = std::getenv(name)) {
      environment.push_back(std::string(name) + "=" + value);
    }
  }
  return environment;
}

}  // namespace firn
