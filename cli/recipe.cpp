#include <iostream>
#include <memory>

#include "builder/recipe_text.h"
#include "cli/commands.h"
#include "cli/recipe_options.h"

namespace firn {

void AddRecipeCommand(CLI::App& app, int& exit_code) {
  const auto arguments = std::make_shared<RecipeArguments>();
  CLI::App* command = app.add_subcommand("recipe", "Print the recipe that a source amounts to");
  AddRecipeOptions(*command, *arguments);
  command->footer(
      "Examples:\n"
      "  firn recipe ./project > recipe.yaml\n"
      "  firn recipe requirements.txt --name tools --prefix /opt/tools > recipe.yaml\n"
      "\n"
      "firn build takes what is printed; firn-recipe(5) has every key.");
  command->callback([arguments, &exit_code] {
    std::cout << ToYaml(MakeRecipe(*arguments));
    exit_code = 0;
  });
}

}  // namespace firn
