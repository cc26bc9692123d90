#include "cli/recipe_options.h"

#include <filesystem>

#include "builder/build_settings.h"
#include "builder/recipe_text.h"
#include "builder/source.h"
#include "builder/source_detection.h"
#include "cli/image_file.h"
#include "cli/image_layers.h"
#include "format/appendix.h"

namespace firn {
namespace {

std::string AbsolutePath(const std::string& path) {
  return std::filesystem::absolute(path).lexically_normal().string();
}

void Override(const RecipeArguments& arguments, Recipe& recipe) {
  if (arguments.name) recipe.name = CheckedName(*arguments.name);
  if (!arguments.version.empty()) recipe.version = arguments.version;
  if (arguments.prefix) recipe.prefix = CheckedPrefix(*arguments.prefix);
  if (!arguments.base.empty()) {
    const bool is_id = arguments.base.starts_with("sha256:");
    recipe.base = is_id ? arguments.base : AbsolutePath(arguments.base);
  }
  if (!arguments.python.empty()) {
    const bool is_path = arguments.python.find('/') != std::string::npos;
    recipe.source.python = is_path ? AbsolutePath(arguments.python) : arguments.python;
  }
  if (!arguments.profiles.empty()) recipe.profile = AbsolutePath(arguments.profiles.front());
  recipe.source.resolve = recipe.source.resolve || arguments.resolve;
  recipe.rules.compile = recipe.rules.compile && !arguments.no_compile;
  recipe.rules.strip = recipe.rules.strip || arguments.strip;
  recipe.rules.strict = recipe.rules.strict || arguments.strict;
}

std::string PrefixOfImage(const std::string& path) {
  const FileDescriptor file = OpenImageFile(path);
  return Appendix::ReadImage(file.get(), path).ReadManifest(file.get()).prefix;
}

}  // namespace

void AddRecipeOptions(CLI::App& command, RecipeArguments& arguments) {
  command
      .add_option("SOURCE", arguments.source,
                  "A recipe, an environment's directory, a lock, a uv project, a tar archive")
      ->required();
  command.add_option("--name", arguments.name, "Name of the image [what the source says]");
  command.add_option("--version", arguments.version, "Version of the environment")
      ->option_text("TEXT");
  command.add_option(
      "--prefix", arguments.prefix,
      "Path at which jobs are to see it [a directory's real path, the base's, else /opt/NAME]");
  command.add_option("--base", arguments.base, "Image that this one is to be a layer over")
      ->option_text("IMAGE");
  command.add_option("--python", arguments.python, "Interpreter for a lock: version, name or path")
      ->option_text("PYTHON");
  command
      .add_option("--profile", arguments.profiles,
                  "Put what it reads first in front (repeat it to merge several)")
      ->option_text("FILE")
      ->allow_extra_args(false);
  command.add_flag("--resolve", arguments.resolve, "Take a source that is no lock, and lock it");
  command.add_flag("--strip", arguments.strip, "Drop the symbols of ELF files");
  command.add_flag("--strict", arguments.strict, "Refuse files that name a path of the build");
  command.add_flag("--no-compile", arguments.no_compile, "Make no .pyc of Python modules");
}

Recipe MakeRecipe(const RecipeArguments& arguments) {
  Recipe recipe;
  if (LooksLikeRecipe(arguments.source)) {
    recipe = ReadRecipe(arguments.source);
  } else {
    recipe.source = DetectSource(arguments.source);
  }
  if (recipe.source.kind == SourceKind::kDirectory) {
    recipe.source.path = std::filesystem::canonical(recipe.source.path).string();
  }
  Override(arguments, recipe);
  // What is installed over a base is seen where the base is.
  const bool is_installed = recipe.source.kind != SourceKind::kDirectory;
  if (is_installed && recipe.prefix.empty() && !recipe.base.empty()) {
    recipe.prefix = PrefixOfImage(FindImage(recipe.base, recipe.source.path));
  }
  FillNameAndPrefix(recipe);
  return recipe;
}

}  // namespace firn
