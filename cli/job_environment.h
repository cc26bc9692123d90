#ifndef FIRN_CLI_JOB_ENVIRONMENT_H_
#define FIRN_CLI_JOB_ENVIRONMENT_H_

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/manifest.h"

namespace firn {

using Environment = std::map<std::string, std::string>;

// An image and the place where a job sees it. A foreign image has an empty manifest.
struct ImageInJob {
  Manifest manifest;
  std::string prefix;
};

// A variable that a job gets; without value: that it must not have.
struct VariableChange {
  std::string name;
  std::optional<std::string> value;
  bool operator==(const VariableChange&) const = default;
};

// The variables that images set for a job whose caller has the environment `caller`, whether or not
// they have that value already, by name:
//   - PATH with PREFIX/bin of each image in front, the first image's first;
//   - for an image with a Python PYTHONNOUSERSITE=1, and no PYTHONHOME: both would have its Python
//     take modules of another one. PYTHONPATH is the caller's: it is how own code is found;
//   - for a conda prefix CONDA_PREFIX, CONDA_DEFAULT_ENV, CONDA_SHLVL and where another one is
//     active CONDA_PREFIX_N, for what was a venv VIRTUAL_ENV and VIRTUAL_ENV_PROMPT, as their
//     activation has them; for other images of these kinds no VIRTUAL_ENV;
//   - where none of the images is a conda prefix, conda's variables for one with a Python too, so
//     that uv and conda do not change an environment of the caller's, but uv says that the image
//     cannot be changed. UV_PYTHON and UV_SYSTEM_PYTHON would do that too, but keep uv from
//     installing into a venv that the job makes on top of the image;
//   - what the manifest's `environment` says, in its order, expanded by ExpandValue().
// Where several images set one variable, the first has its way.
//
// Throws kDamaged for a name or a value in a manifest that no environment can hold.
std::vector<VariableChange> JobVariables(std::span<const ImageInJob> images,
                                         const Environment& caller);

// "${PREFIX}" in the text is `prefix`, "${NAME}" the variable's value in `environment`,
// "${NAME:-TEXT}" is TEXT, itself expanded, where that is empty or not set, "$${" is "${". Where a
// "${NAME}" has no value, one ':' beside it goes too: an empty entry of a search path would be the
// working directory. Everything else, "$NAME" too, stays as it is.
std::string ExpandValue(std::string_view text, std::string_view prefix,
                        const Environment& environment);

// The environment of this process.
Environment OwnEnvironment();

void Apply(const std::vector<VariableChange>& changes, Environment& environment);

// Letters, digits and "_", no digit in front.
bool IsVariableName(std::string_view name);

}  // namespace firn

#endif  // FIRN_CLI_JOB_ENVIRONMENT_H_
