#include "builder/source_detection.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>
#include <system_error>
#include <vector>

#include "builder/naming.h"
#include "builder/source.h"
#include "builder/source_parts.h"
#include "builder/toml_input.h"
#include "format/error.h"

namespace firn {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 16> kArchiveEndings{
    ".tar",     ".tar.gz", ".tgz",     ".tar.bz2", ".tbz2", ".tbz",      ".tar.xz", ".txz",
    ".tar.zst", ".tzst",   ".tar.lz4", ".tar.lz",  ".tlz",  ".tar.lzma", ".tar.Z",  ".taz"};
constexpr char kKnownSources[] =
    "Give an environment's directory, a project of uv or pixi, pylock.toml, requirements.txt, a "
    "conda list or "
    "lock, environment.yml, a tar archive, or a recipe (firn-recipe(5)); a recipe can name the "
    "kind of a file with another name.";

std::string WithoutTrailingSlash(const fs::path& path) {
  std::string text = path.lexically_normal().string();
  while (text.size() > 1 && text.ends_with('/')) text.pop_back();
  return text;
}

// The keys at the top of a YAML file, by its lines that begin with one.
std::vector<std::string> TopKeys(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> keys;
  for (std::string line; keys.size() < 1000 && std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos || std::isalpha(static_cast<unsigned char>(line[0])) == 0) {
      continue;
    }
    keys.push_back(line.substr(0, colon));
  }
  return keys;
}

std::optional<SourceKind> KindOfYaml(const std::string& path) {
  const std::vector<std::string> keys = TopKeys(path);
  const auto has = [&](const char* key) {
    return std::find(keys.begin(), keys.end(), key) != keys.end();
  };
  if (has("metadata") && has("package")) return SourceKind::kCondaLock;
  if (has("dependencies") && !has("source")) return SourceKind::kCondaEnvironment;
  return std::nullopt;
}

bool IsExplicitList(const std::string& path) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("@EXPLICIT")) return true;
  }
  return false;
}

bool IsYaml(const fs::path& path) {
  return path.extension() == ".yml" || path.extension() == ".yaml";
}

bool IsPylockName(const std::string& name) {
  return name == "pylock.toml" || (name.starts_with("pylock.") && name.ends_with(".toml"));
}

std::optional<SourceKind> KindOfFile(const fs::path& path) {
  const std::string name = path.filename().string();
  if (IsPylockName(name)) return SourceKind::kPylock;
  if (WithoutArchiveEnding(name).size() != name.size()) return SourceKind::kArchive;
  if (IsYaml(path)) return KindOfYaml(path.string());
  if (path.extension() != ".txt" && path.extension() != ".in" && path.extension() != ".lock") {
    return std::nullopt;
  }
  return IsExplicitList(path.string()) ? SourceKind::kCondaExplicit : SourceKind::kRequirements;
}

// The name of a project that its manifest, pyproject.toml or pixi.toml, gives.
std::string ProjectName(const std::string& path) {
  const toml::table manifest = ParseToml(ReadSourceFile(path), path);
  for (const char* table : {"project", "workspace"}) {
    const std::string name = manifest[table]["name"].value_or(std::string());
    if (!name.empty()) return name;
  }
  return {};
}

// "name: science" of environment.yml.
std::string EnvironmentName(const std::string& path) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("name:")) continue;
    line.erase(0, 5);
    const size_t start = line.find_first_not_of(" '\"");
    const size_t end = line.find_last_not_of(" '\"\r");
    if (start != std::string::npos) return line.substr(start, end - start + 1);
  }
  return {};
}

std::string NameOfSource(const RecipeSource& source) {
  const fs::path path(source.path);
  std::string name;
  switch (source.kind) {
    case SourceKind::kDirectory:
      return path.filename().string();
    case SourceKind::kArchive:
      return std::string(WithoutArchiveEnding(path.filename().string()));
    case SourceKind::kUvProject:
      name = ProjectName(source.path + "/pyproject.toml");
      return name.empty() ? path.filename().string() : name;
    case SourceKind::kPylock:
      name = path.stem().string();  // "pylock" or "pylock.NAME"
      if (name.starts_with("pylock.")) return name.substr(7);
      break;
    case SourceKind::kCondaEnvironment:
      name = EnvironmentName(source.path);
      if (!name.empty()) return name;
      break;
    case SourceKind::kPixiLock:
      for (const char* manifest : {"pixi.toml", "pyproject.toml"}) {
        const std::string file = (path.parent_path() / manifest).string();
        if (name.empty() && IsThere(file)) name = ProjectName(file);
      }
      if (!name.empty()) return name;
      break;
    case SourceKind::kRequirements:
    case SourceKind::kCondaExplicit:
    case SourceKind::kCondaLock:
      break;
  }
  return path.parent_path().filename().string();
}

RecipeSource PixiSource(const fs::path& directory) {
  return {.kind = SourceKind::kPixiLock, .path = (directory / "pixi.lock").string()};
}

}  // namespace

std::string_view WithoutArchiveEnding(std::string_view path) {
  size_t longest = 0;
  for (const std::string_view ending : kArchiveEndings) {
    if (path.ends_with(ending) && path.size() > ending.size()) {
      longest = std::max(longest, ending.size());
    }
  }
  return path.substr(0, path.size() - longest);
}

bool LooksLikeRecipe(const std::string& path) {
  std::error_code ignored;
  return IsYaml(path) && fs::is_regular_file(path, ignored) && !KindOfYaml(path);
}

RecipeSource DetectSource(const std::string& path) {
  const fs::path absolute(WithoutTrailingSlash(fs::absolute(path)));
  const std::string name = absolute.filename().string();
  RecipeSource source{.path = absolute.string()};
  std::error_code error;
  if (!fs::exists(path, error)) {
    throw Error(ErrorKind::kInput, "does not exist", kKnownSources).WithPath(path);
  }
  if (fs::is_directory(path, error)) {
    if (IsEnvironment(source.path)) return source;
    const bool is_pixis = IsThere(absolute / "pixi.lock") || IsThere(absolute / "pixi.toml");
    const bool is_uvs = IsThere(absolute / "uv.lock");
    if (is_pixis && !is_uvs) return PixiSource(absolute);
    if (is_uvs || IsThere(absolute / "pyproject.toml")) source.kind = SourceKind::kUvProject;
    return source;
  }
  if (name == "pixi.lock" || name == "pixi.toml") return PixiSource(absolute.parent_path());
  if (name == "uv.lock" || name == "pyproject.toml") {
    source.kind = SourceKind::kUvProject;
    source.path = absolute.parent_path().string();
    return source;
  }
  const std::optional<SourceKind> kind =
      fs::is_regular_file(path, error) ? KindOfFile(absolute) : std::nullopt;
  if (!kind) {
    throw Error(ErrorKind::kInput, "expected a source that Firn knows, found another kind of file",
                kKnownSources)
        .WithPath(path);
  }
  source.kind = *kind;
  return source;
}

bool IsEnvironment(const std::string& directory) {
  std::error_code ignored;
  for (const char* mark : {"pyvenv.cfg", "conda-meta", "bin/python3", "bin/python"}) {
    const auto status = fs::symlink_status(directory + "/" + mark, ignored);
    if (fs::exists(status)) return true;
  }
  return false;
}

void FillNameAndPrefix(Recipe& recipe) {
  if (recipe.name.empty()) recipe.name = NameOfSource(recipe.source);
  if (!IsImageName(recipe.name)) {
    throw Error(ErrorKind::kUsage, "the source has no name that could be the image's",
                "Give one with --name.")
        .WithPath(recipe.source.path);
  }
  if (!recipe.prefix.empty()) return;
  const bool is_there = recipe.source.kind == SourceKind::kDirectory;
  recipe.prefix = is_there ? recipe.source.path : "/opt/" + recipe.name;
}

}  // namespace firn
