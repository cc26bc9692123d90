#ifndef FIRN_BUILDER_EXPORT_PACKAGE_FORMATS_H_
#define FIRN_BUILDER_EXPORT_PACKAGE_FORMATS_H_

#include <string>
#include <vector>

#include "builder/export/lock_pins.h"
#include "builder/inspect/package.h"

// An image's packages in the forms that other tools read. `warnings` gets a line for what a form
// cannot say.
namespace firn {

// For pip and uv: "==" for each Python package, with the hashes that the lock files have. As `pip
// freeze` does, it leaves pip, setuptools and wheel out, where no lock names them.
std::string RequirementsText(const PackageList& list, const LockPins& pins,
                             std::vector<std::string>& warnings);

// PEP 751, with the files that the lock files name.
std::string PylockText(const PackageList& list, const LockPins& pins,
                       std::vector<std::string>& warnings);

// For conda: name=version=build of each, the other Python packages under pip.
// `python`: version of the interpreter where it is no conda package; may be empty.
std::string EnvironmentYaml(const PackageList& list, const std::string& name,
                            const std::string& python, std::vector<std::string>& warnings);

// As `conda list --explicit --md5` prints it. Throws kUsage where the image has no conda packages,
// or one whose URL is not known.
std::string ExplicitText(const PackageList& list, std::vector<std::string>& warnings);

}  // namespace firn

#endif  // FIRN_BUILDER_EXPORT_PACKAGE_FORMATS_H_
