#ifndef FIRN_CLI_CHECK_MODULES_H_
#define FIRN_CLI_CHECK_MODULES_H_

namespace firn {

// The default checks of an image with a Python, as programs for `python3 -c`: pip check where pip
// is there, and the import of every top-level module of its packages.
extern const char kCheckPipProgram[];
extern const char kCheckModulesProgram[];

}  // namespace firn

#endif  // FIRN_CLI_CHECK_MODULES_H_
