#ifndef FIRN_CLI_RECIPE_OPTIONS_H_
#define FIRN_CLI_RECIPE_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "builder/recipe.h"

namespace firn {

// What firn build and firn recipe take: a recipe or a source, and what is said instead of it.
struct RecipeArguments {
  std::string source;
  std::optional<std::string> name;
  std::optional<std::string> prefix;
  std::string version;
  std::string base;
  std::string python;
  std::vector<std::string> profiles;  // in order; the first is the recipe's
  bool resolve = false;
  bool no_compile = false;
  bool strip = false;
  bool strict = false;
};

// Their options. `arguments` outlives `command`.
void AddRecipeOptions(CLI::App& command, RecipeArguments& arguments);

// The recipe, with its name and prefix. Throws kUsage, kInput.
Recipe MakeRecipe(const RecipeArguments& arguments);

}  // namespace firn

#endif  // FIRN_CLI_RECIPE_OPTIONS_H_
