#ifndef FIRN_BUILDER_ACTIVATION_H_
#define FIRN_BUILDER_ACTIVATION_H_

#include <functional>
#include <string>
#include <vector>

#include "builder/build_log.h"
#include "format/manifest.h"

namespace firn {

// What conda's activation of a prefix sets beyond its own variables, so that a job needs no scripts
// at its start.
struct Activation {
  // As the manifest has them: a value is relative to "${PREFIX}" and to the variables of the job
  // where the scripts extend these or leave them alone.
  std::vector<Manifest::Variable> variables;
  std::vector<std::string> warnings;  // scripts that failed, effects that cannot be recorded
};

// Runs etc/conda/activate.d/*.sh of the conda prefix `tree`, which must lie at `prefix` or be where
// that leads to, as an activation would: sourced by one shell in the order of their names, with the
// variables of etc/conda/env_vars.d/*.json and conda-meta/state. Nothing of the caller's
// environment is seen. Runs them twice, to see how a variable that exists is treated.
//
// Warnings go into the log too. Throws kInput where a script hangs or ends its shell, what `poll`
// throws, and as ChildProcess.
Activation RecordActivation(const std::string& tree, const std::string& prefix, BuildLog& log,
                            const std::function<void()>& poll);

// How "${NAME}" in a manifest says what became of a variable, from its value where it was not set
// before and where it was `mark`, which must not occur otherwise.
std::string GeneraliseValue(const std::string& name, const std::string& unset,
                            const std::string& marked, const std::string& mark);

// `recorded`, then `own`, which has its way: "${NAME}" of a recorded variable in it is that value.
// No name is twice in the result.
std::vector<Manifest::Variable> JoinVariables(std::vector<Manifest::Variable> recorded,
                                              const std::vector<Manifest::Variable>& own);

}  // namespace firn

#endif  // FIRN_BUILDER_ACTIVATION_H_
