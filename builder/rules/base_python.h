#ifndef FIRN_BUILDER_RULES_BASE_PYTHON_H_
#define FIRN_BUILDER_RULES_BASE_PYTHON_H_

#include <string>
#include <vector>

#include "builder/rules/rule_work.h"

namespace firn {

// What a Python says of where it is installed.
struct PythonLayout {
  std::string implementation;      // "cpython"
  std::string version;             // "3.11"
  std::string executable;          // real path
  std::string prefix;              // of its installation, not of a venv that it runs in
  std::string library;             // directory of the standard library
  std::string extensions;          // of its platform-dependent part; may be the same
  std::string include;             // of its C headers; may not exist
  std::string packages;            // where an installer would put packages
  std::string scripts;             // and programs
  std::string data;                // and other files
  std::vector<std::string> sites;  // that it looks for packages in, in order
};

// Runs the Python at `python` (absolute), which sees nothing of the caller's settings. Throws
// kInput where it cannot be run or says nothing sensible.
PythonLayout AskPython(const RuleWork& work, const std::string& python);

}  // namespace firn

#endif  // FIRN_BUILDER_RULES_BASE_PYTHON_H_
