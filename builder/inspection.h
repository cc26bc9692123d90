#ifndef FIRN_BUILDER_INSPECTION_H_
#define FIRN_BUILDER_INSPECTION_H_

#include <functional>
#include <string>

#include "builder/recipe.h"

namespace firn {

// What an environment says of itself, as it goes into the image. The same tree gives the same text.
struct Inspection {
  std::string packages;  // JSON: name, version, kind, licence, origin of each
  std::string needs;     // JSON: what the host must have
  std::string sbom;      // CycloneDX JSON
};

// Reads the tree at its prefix, `jobs` files at once; runs nothing of it. `known_needs`: its needs
// where they are known already, else empty. `poll` is called often and may throw to give up.
Inspection Inspect(const std::string& tree, const Recipe& recipe, std::string known_needs,
                   unsigned jobs, const std::function<void()>& poll);

}  // namespace firn

#endif  // FIRN_BUILDER_INSPECTION_H_
