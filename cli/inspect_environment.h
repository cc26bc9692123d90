#ifndef FIRN_CLI_INSPECT_ENVIRONMENT_H_
#define FIRN_CLI_INSPECT_ENVIRONMENT_H_

#include <string>

#include "format/appendix.h"

namespace firn {

// What `firn inspect` prints of the environment in an image. `fd` is the image's. Each throws
// kUsage where the image does not hold it.
void PrintPackages(int fd, const Appendix& appendix, bool json);
void PrintNeeds(int fd, const Appendix& appendix, bool json);
void PrintSbom(int fd, const Appendix& appendix);
void PrintRecipe(int fd, const Appendix& appendix, bool json);
// `name`: of the one to print; empty: the only one, or the names of all.
void PrintLocks(int fd, const Appendix& appendix, const std::string& name, bool json);

}  // namespace firn

#endif  // FIRN_CLI_INSPECT_ENVIRONMENT_H_
