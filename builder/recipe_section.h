#ifndef FIRN_BUILDER_RECIPE_SECTION_H_
#define FIRN_BUILDER_RECIPE_SECTION_H_

#include <string>

#include "builder/recipe.h"
#include "builder/source.h"

namespace firn {

// The image's section `recipe`: a recipe that makes the same again in a directory where the
// image's locks lie, with the SHA-256 of each of them in comments. It names no directory of the
// machine that builds, so that the same input gives the same text everywhere. Throws kInput where
// an archive can not be read for its digest.
std::string RecipeSection(const Recipe& recipe, const RealisedSource& source);

}  // namespace firn

#endif  // FIRN_BUILDER_RECIPE_SECTION_H_
