#ifndef FIRN_BUILDER_SOURCE_H_
#define FIRN_BUILDER_SOURCE_H_

#include <functional>
#include <string>
#include <vector>

#include "builder/build_log.h"
#include "builder/recipe.h"

namespace firn {

// What a source turned into, beside the tree itself.
struct RealisedSource {
  struct LockFile {
    std::string name;     // without directories
    std::string content;  // whole
  };
  std::vector<LockFile> locks;
  // What gives the same again from `locks`: a path relative to where they lie.
  RecipeSource rebuild;
  // What was built on the spot, from sources, and may differ from build to build: names.
  std::vector<std::string> not_reproducible;
  // Directories that the tools worked in: no file of the environment should name them.
  std::vector<std::string> build_places;
};

// What sort of source that path is, from its kind and name and, where the name does not say, its
// first lines. Throws kInput for none that Firn knows, or that is not there.
RecipeSource DetectSource(const std::string& path);

// Is the directory one that the rules know what to do with: a venv, a conda prefix, a prefix with
// a Python in bin/? Others go into an image as they are.
bool IsEnvironment(const std::string& directory);

// Fills the directory `tree`, which is at the prefix where the environment will be seen, by the
// tool that the source belongs to. The directory is empty, or shows a base, an environment of its
// own, of which nothing is to be installed again. A directory as source is not to be realised: it
// is there. `poll` is called about ten times a second and may throw to give up. Throws kInput for
// what the tool or the source lacks.
RealisedSource Realise(const RecipeSource& source, const std::string& tree, BuildLog& log,
                       const std::function<void()>& poll);

}  // namespace firn

#endif  // FIRN_BUILDER_SOURCE_H_
