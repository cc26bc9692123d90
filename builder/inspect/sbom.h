#ifndef FIRN_BUILDER_INSPECT_SBOM_H_
#define FIRN_BUILDER_INSPECT_SBOM_H_

#include <string>

#include "builder/inspect/package.h"

namespace firn {

// A package URL (purl), as the specification of package-url has it.
std::string PackageUrl(const Package& package);

// A software bill of materials, CycloneDX 1.5 in JSON. Its serial number comes from its content,
// and it has no time: the same packages give the same text.
std::string MakeSbom(const PackageList& list, const std::string& name, const std::string& version);

}  // namespace firn

#endif  // FIRN_BUILDER_INSPECT_SBOM_H_
