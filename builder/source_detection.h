#ifndef FIRN_BUILDER_SOURCE_DETECTION_H_
#define FIRN_BUILDER_SOURCE_DETECTION_H_

#include <string>
#include <string_view>

#include "builder/recipe.h"

namespace firn {

// A YAML file that is no environment.yml and no conda-lock.yml.
bool LooksLikeRecipe(const std::string& path);

// The path without ".tar", ".tar.zst", ".tgz" and the like; all of it where there is no such
// ending.
std::string_view WithoutArchiveEnding(std::string_view path);

// Gives a recipe that has none the name and the prefix that firn-recipe(5) says. Throws kInput
// where the source cannot be read, kUsage where its name is no image's.
void FillNameAndPrefix(Recipe& recipe);

}  // namespace firn

#endif  // FIRN_BUILDER_SOURCE_DETECTION_H_
