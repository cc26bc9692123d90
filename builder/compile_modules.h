#ifndef FIRN_BUILDER_COMPILE_MODULES_H_
#define FIRN_BUILDER_COMPILE_MODULES_H_

namespace firn {

// compile_modules.py, part of the program so that it needs no file beside it.
extern const char kCompileModulesScript[];

}  // namespace firn

#endif  // FIRN_BUILDER_COMPILE_MODULES_H_
