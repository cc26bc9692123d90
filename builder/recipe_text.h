#ifndef FIRN_BUILDER_RECIPE_TEXT_H_
#define FIRN_BUILDER_RECIPE_TEXT_H_

#include <optional>
#include <string>
#include <string_view>

#include "builder/recipe.h"

namespace firn {

// firn-recipe(5).

// Reads the file. Paths in it are relative to its directory. Name and prefix may be missing, and
// are empty then. Throws kUsage with every mistake in it, a line each, as FILE:LINE:COLUMN; kInput
// where it cannot be read.
Recipe ReadRecipe(const std::string& path);

// The same for a text. `name` is the file's, for messages; `directory` is absolute.
Recipe ParseRecipe(const std::string& yaml, const std::string& name, const std::string& directory);

// A text that ReadRecipe() makes the same recipe of, wherever it stands.
std::string ToYaml(const Recipe& recipe);

// The names of kinds of sources, as recipes have them.
std::string_view SourceKindName(SourceKind kind);
std::optional<SourceKind> ParseSourceKind(std::string_view name);

}  // namespace firn

#endif  // FIRN_BUILDER_RECIPE_TEXT_H_
