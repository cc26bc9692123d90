#ifndef FIRN_BUILDER_INSPECT_IMAGE_SECTIONS_H_
#define FIRN_BUILDER_INSPECT_IMAGE_SECTIONS_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "builder/inspect/needs.h"
#include "builder/inspect/package.h"
#include "format/appendix.h"

// What a build stored of an environment, read from its image. `fd` is the image's.
namespace firn {

struct StoredLock {
  std::string name;
  std::string content;
};

// The text of a section; nullopt where the image has none. Throws kDamaged.
std::optional<std::string> FindTextSection(int fd, const Appendix& appendix,
                                           std::string_view section);
// Throws kUsage where the image has none, with why that may be.
std::string ReadTextSection(int fd, const Appendix& appendix, std::string_view section);

PackageList ReadPackages(int fd, const Appendix& appendix);
Needs ReadNeeds(int fd, const Appendix& appendix);

// The files of section `locks`; none where the image has no such section.
std::vector<StoredLock> ReadLocks(int fd, const Appendix& appendix);
// The files of a tar archive. Throws kDamaged for what is none.
std::vector<StoredLock> ReadLockArchive(std::string_view archive);

}  // namespace firn

#endif  // FIRN_BUILDER_INSPECT_IMAGE_SECTIONS_H_
