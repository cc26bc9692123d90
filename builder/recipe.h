#ifndef FIRN_BUILDER_RECIPE_H_
#define FIRN_BUILDER_RECIPE_H_

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "format/manifest.h"

namespace firn {

enum class SourceKind {
  kDirectory,         // an environment that exists: a venv, a conda prefix, any tree
  kArchive,           // a tar archive of one: conda-pack's, or plain
  kUvProject,         // a directory with pyproject.toml and uv.lock
  kPylock,            // pylock.toml, PEP 751
  kRequirements,      // requirements.txt with hashes
  kCondaEnvironment,  // environment.yml: not a lock, to be resolved
  kCondaExplicit,     // conda list --explicit
  kCondaLock,         // conda-lock.yml
  kPixiLock,          // pixi.lock
};

struct RecipeSource {
  SourceKind kind = SourceKind::kDirectory;
  std::string path = {};    // absolute
  std::string tool = {};    // the program that realises it; empty: the first that is there
  std::string python = {};  // for locks of Python packages: an interpreter's path, name or version
  bool resolve = false;     // take an input that is no lock, and lock it
  std::vector<std::string> options = {};  // further words for the tool
  bool operator==(const RecipeSource&) const = default;
};

// Which changes are made to the environment on its way into the image.
struct RecipeRules {
  bool flatten = true;   // a venv gets its base interpreter and standard library
  bool scripts = true;   // programs of bin/ find their interpreter beside themselves
  bool relocate = true;  // what names another prefix names this one
  bool markers = true;   // EXTERNALLY-MANAGED, conda-meta/frozen
  bool clean = true;     // caches, left-over __pycache__, what differs from build to build
  bool compile = true;
  bool strip = false;   // symbols of ELF files
  bool strict = false;  // refuse where the build's paths are left
  bool operator==(const RecipeRules&) const = default;
};

struct RecipeCheck {
  std::vector<std::string> command;  // "${PREFIX}" in it is the image's prefix
  std::chrono::seconds timeout{600};
  bool operator==(const RecipeCheck&) const = default;
};

// How an image is made; firn-recipe(5) is its text. Plain data.
struct Recipe {
  std::string name;
  std::string version;
  std::string prefix;  // absolute
  RecipeSource source;
  std::string base;  // path or id of an image; empty: none
  std::vector<Manifest::Variable> environment;
  std::vector<std::string> excludes;  // globs of paths below the prefix; "**" crosses directories
  RecipeRules rules;
  bool default_checks = true;  // pip check and the import of every top-level module
  std::vector<RecipeCheck> checks;
  std::string profile;  // absolute path of a file; empty: none
  std::vector<std::string> scratch;
  std::vector<Manifest::Variable> labels;
  bool operator==(const Recipe&) const = default;
};

}  // namespace firn

#endif  // FIRN_BUILDER_RECIPE_H_
