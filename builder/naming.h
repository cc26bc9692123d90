#ifndef FIRN_BUILDER_NAMING_H_
#define FIRN_BUILDER_NAMING_H_

#include <optional>
#include <string>

namespace firn {

// What may be an image's name: 1 to 255 bytes of printable UTF-8 without '/'.
bool IsImageName(const std::string& name);

// Why no environment can be built for that prefix, as the end of a sentence that begins with it;
// nothing where it can.
std::optional<std::string> WhyNotPrefix(const std::string& prefix);

// Without doubled and trailing slashes.
std::string NormalizedPrefix(const std::string& prefix);

}  // namespace firn

#endif  // FIRN_BUILDER_NAMING_H_
