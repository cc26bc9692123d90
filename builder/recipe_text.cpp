#include "builder/recipe_text.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <span>
#include <utility>

#include "builder/naming.h"
#include "builder/source.h"
#include "builder/utf8.h"
#include "format/error.h"
#include "format/file.h"
#include "format/yaml_reader.h"

namespace firn {
namespace {

constexpr size_t kLongestRecipe = 1 << 20;
constexpr uint64_t kLongestCheck = 7 * 86400;
constexpr char kToolNames[] = "uv, pip, conda, mamba or micromamba";
constexpr std::array<std::string_view, 5> kTools{"uv", "pip", "conda", "mamba", "micromamba"};
constexpr char kSourceKindNames[] =
    "directory, archive, uv, pylock, requirements, conda-environment, conda-explicit, conda-lock "
    "or "
    "pixi-lock";
constexpr std::array<std::pair<std::string_view, SourceKind>, 9> kSourceKinds{{
    {"directory", SourceKind::kDirectory},
    {"archive", SourceKind::kArchive},
    {"uv", SourceKind::kUvProject},
    {"pylock", SourceKind::kPylock},
    {"requirements", SourceKind::kRequirements},
    {"conda-environment", SourceKind::kCondaEnvironment},
    {"conda-explicit", SourceKind::kCondaExplicit},
    {"conda-lock", SourceKind::kCondaLock},
    {"pixi-lock", SourceKind::kPixiLock},
}};

class RecipeReader : public YamlTableReader<RecipeReader> {
 public:
  RecipeReader(std::string name, std::string directory)
      : YamlTableReader(std::move(name)), directory_(std::move(directory)) {}

  std::string Absolute(const std::string& path) const {
    return (std::filesystem::path(directory_) / path).lexically_normal().string();
  }

 private:
  const std::string directory_;
};

using Value = RecipeReader::Value;

bool IsText(const std::string& text) { return !text.empty() && IsPrintableUtf8(text); }

// What a path must be to be found on the host.
bool IsPath(const std::string& text) {
  return !text.empty() && text.find('\0') == std::string::npos;
}

bool IsVariableValue(const std::string& text) { return IsPrintableUtf8(text); }

bool IsVariableName(const std::string& text) {
  const auto is_allowed = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; };
  return !text.empty() && std::isdigit(static_cast<unsigned char>(text[0])) == 0 &&
         std::all_of(text.begin(), text.end(), is_allowed);
}

bool IsGlob(const std::string& text) {
  if (!IsText(text) || text.starts_with('/')) return false;
  const std::filesystem::path path(text);
  return std::none_of(path.begin(), path.end(),
                      [](const std::filesystem::path& part) { return part == ".."; });
}

std::optional<std::string> ParseTool(std::string_view name) {
  if (std::find(kTools.begin(), kTools.end(), name) == kTools.end()) return std::nullopt;
  return std::string(name);
}

bool IsImageId(std::string_view text) {
  constexpr std::string_view kStart = "sha256:";
  if (!text.starts_with(kStart)) return false;
  text.remove_prefix(kStart.size());
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

void ReadHostPath(RecipeReader& reader, const Value& value, const std::string& expected,
                  std::string& target) {
  std::string path;
  reader.ReadText(value, expected, IsPath, path);
  if (!path.empty()) target = reader.Absolute(path);
}

void ReadTexts(RecipeReader& reader, const Value& value, const std::string& expected,
               bool (*is_valid)(const std::string&), std::vector<std::string>& target) {
  std::vector<std::string> texts;
  reader.VisitList(value, "expected a list", [&](const Value& item) {
    std::string text;
    reader.ReadText(item, expected, is_valid, text);
    texts.push_back(std::move(text));
  });
  target = std::move(texts);
}

void ReadVariables(RecipeReader& reader, const Value& value, const std::string& expected_name,
                   bool (*is_name)(const std::string&), std::vector<Manifest::Variable>& target) {
  reader.VisitMap(value, "expected names with values", [&](const Value& key, const Value& entry) {
    Manifest::Variable variable;
    reader.ReadText(key, expected_name, is_name, variable.name);
    reader.ReadText(entry, "expected printable text", IsVariableValue, variable.value);
    target.push_back(std::move(variable));
  });
}

// What is found out of the path alone, where the recipe does not say more.
void DetectKind(RecipeReader& reader, const Value& value, RecipeSource& source) {
  if (source.path.empty()) return;
  try {
    source.kind = DetectSource(source.path).kind;
  } catch (const Error& error) {
    reader.AddMistake(value, error.path() + ": " + error.message());
  }
}

struct SourceKeys {
  RecipeSource source;
  bool has_kind = false;
};

const RecipeReader::Key<SourceKeys> kSourceKeys[] = {
    {"path",
     [](RecipeReader& reader, const Value& value, SourceKeys& keys) {
       ReadHostPath(reader, value, "expected a path", keys.source.path);
     }},
    {"kind",
     [](RecipeReader& reader, const Value& value, SourceKeys& keys) {
       keys.has_kind = true;
       reader.ReadName(value, kSourceKindNames, ParseSourceKind, keys.source.kind);
     }},
    {"tool",
     [](RecipeReader& reader, const Value& value, SourceKeys& keys) {
       reader.ReadName(value, kToolNames, ParseTool, keys.source.tool);
     }},
    {"python",
     [](RecipeReader& reader, const Value& value, SourceKeys& keys) {
       std::string& python = keys.source.python;
       reader.ReadText(value, "expected a version, or a Python's name or path", IsText, python);
       if (python.find('/') != std::string::npos) python = reader.Absolute(python);
     }},
    {"resolve", [](RecipeReader& reader, const Value& value,
                   SourceKeys& keys) { reader.ReadBool(value, keys.source.resolve); }},
    {"options",
     [](RecipeReader& reader, const Value& value, SourceKeys& keys) {
       ReadTexts(reader, value, "expected a word for the tool", IsText, keys.source.options);
     }},
};

void ReadSource(RecipeReader& reader, const Value& value, Recipe& recipe) {
  if (value.node.IsScalar()) {
    ReadHostPath(reader, value, "expected a path", recipe.source.path);
    DetectKind(reader, value, recipe.source);
    return;
  }
  SourceKeys keys;
  const size_t mistakes = reader.mistake_count();
  reader.ReadMapping<SourceKeys>(value, kSourceKeys, keys);
  if (reader.mistake_count() != mistakes) return;
  if (keys.source.path.empty()) {
    reader.AddMistake(value, "expected a path: beside the other keys of source, found none");
  } else if (!keys.has_kind) {
    DetectKind(reader, value, keys.source);
  }
  recipe.source = std::move(keys.source);
}

using RuleKey = RecipeReader::Key<RecipeRules>;

template <bool RecipeRules::*kMember>
void ReadRule(RecipeReader& reader, const Value& value, RecipeRules& rules) {
  reader.ReadBool(value, rules.*kMember);
}

const RuleKey kRuleKeys[] = {
    {"flatten", ReadRule<&RecipeRules::flatten>},   {"scripts", ReadRule<&RecipeRules::scripts>},
    {"relocate", ReadRule<&RecipeRules::relocate>}, {"markers", ReadRule<&RecipeRules::markers>},
    {"clean", ReadRule<&RecipeRules::clean>},       {"compile", ReadRule<&RecipeRules::compile>},
    {"strip", ReadRule<&RecipeRules::strip>},       {"strict", ReadRule<&RecipeRules::strict>},
};

struct CheckKeys {
  RecipeCheck check;
  bool default_checks = true;
};

void ReadCommand(RecipeReader& reader, const Value& value, std::vector<std::string>& command) {
  if (value.node.IsSequence()) {
    ReadTexts(reader, value, "expected a word of the command", IsPath, command);
    if (command.empty()) reader.AddMistake(value, "expected a command, found a list of no words");
    return;
  }
  std::string text;
  reader.ReadText(value, "expected a command: a text for sh -c or a list of words", IsPath, text);
  if (!text.empty()) command = {"/bin/sh", "-c", text};
}

const RecipeReader::Key<CheckKeys> kCheckKeys[] = {
    {"command", [](RecipeReader& reader, const Value& value,
                   CheckKeys& keys) { ReadCommand(reader, value, keys.check.command); }},
    {"timeout",
     [](RecipeReader& reader, const Value& value, CheckKeys& keys) {
       uint64_t seconds = static_cast<uint64_t>(keys.check.timeout.count());
       reader.ReadNumber(value, 1, kLongestCheck, seconds);
       keys.check.timeout = std::chrono::seconds(seconds);
     }},
    {"default", [](RecipeReader& reader, const Value& value,
                   CheckKeys& keys) { reader.ReadBool(value, keys.default_checks); }},
};

void ReadCheck(RecipeReader& reader, const Value& item, Recipe& recipe) {
  CheckKeys keys;
  if (!item.node.IsMap()) {
    ReadCommand(reader, item, keys.check.command);
  } else {
    const bool has_default = static_cast<bool>(item.node["default"]);
    const size_t mistakes = reader.mistake_count();
    reader.ReadMapping<CheckKeys>(item, kCheckKeys, keys);
    if (has_default && item.node.size() == 1) {
      recipe.default_checks = keys.default_checks;
      return;
    }
    if (reader.mistake_count() == mistakes && (has_default || keys.check.command.empty())) {
      reader.AddMistake(item, "expected a command: with or without a timeout:, or default: alone");
    }
  }
  recipe.checks.push_back(std::move(keys.check));
}

const RecipeReader::Key<Recipe> kRecipeKeys[] = {
    {"name",
     [](RecipeReader& reader, const Value& value, Recipe& recipe) {
       reader.ReadText(value, "expected a name of 1 to 255 bytes without '/'", IsImageName,
                       recipe.name);
     }},
    {"version",
     [](RecipeReader& reader, const Value& value, Recipe& recipe) {
       reader.ReadText(value, "expected a version", IsText, recipe.version);
     }},
    {"prefix",
     [](RecipeReader& reader, const Value& value, Recipe& recipe) {
       std::string prefix;
       reader.ReadText(value, "expected an absolute path", IsPath, prefix);
       if (prefix.empty()) return;
       const std::optional<std::string> why = WhyNotPrefix(prefix);
       if (why) {
         reader.AddMistake(value, "the prefix " + RecipeReader::Described(value) + " " + *why);
       } else {
         recipe.prefix = NormalizedPrefix(prefix);
       }
     }},
    {"source", ReadSource},
    {"base",
     [](RecipeReader& reader, const Value& value, Recipe& recipe) {
       std::string base;
       reader.ReadText(value, "expected an image's path or its id (sha256:…)", IsPath, base);
       if (base.empty()) return;
       if (base.starts_with("sha256:") && !IsImageId(base)) {
         reader.AddMistake(value, "expected 64 hexadecimal digits behind sha256:, found " +
                                      RecipeReader::Described(value));
       } else {
         recipe.base = IsImageId(base) ? base : reader.Absolute(base);
       }
     }},
    {"environment",
     [](RecipeReader& reader, const Value& value, Recipe& recipe) {
       ReadVariables(reader, value, "expected the name of a variable", IsVariableName,
                     recipe.environment);
     }},
    {"excludes",
     [](RecipeReader& reader, const Value& value, Recipe& recipe) {
       ReadTexts(reader, value, "expected a glob relative to the prefix, without '..'", IsGlob,
                 recipe.excludes);
     }},
    {"rules",
     [](RecipeReader& reader, const Value& value, Recipe& recipe) {
       reader.ReadMapping<RecipeRules>(value, kRuleKeys, recipe.rules);
     }},
    {"checks",
     [](RecipeReader& reader, const Value& value, Recipe& recipe) {
       reader.VisitList(value, "expected a list of commands",
                        [&](const Value& item) { ReadCheck(reader, item, recipe); });
     }},
    {"profile",
     [](RecipeReader& reader, const Value& value, Recipe& recipe) {
       ReadHostPath(reader, value, "expected a profile's path", recipe.profile);
     }},
    {"scratch",
     [](RecipeReader& reader, const Value& value, Recipe& recipe) {
       ReadTexts(reader, value, "expected the name of a variable", IsVariableName, recipe.scratch);
     }},
    {"labels",
     [](RecipeReader& reader, const Value& value, Recipe& recipe) {
       ReadVariables(reader, value, "expected the name of a label", IsText, recipe.labels);
     }},
};

std::string ReadRecipeFile(const std::string& path) {
  const FileDescriptor file = OpenFile(path, O_RDONLY | O_NONBLOCK, ErrorKind::kInput);
  struct stat status {};
  if (fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    throw Error(ErrorKind::kInput, "expected a recipe, found no regular file").WithPath(path);
  }
  std::string text(kLongestRecipe + 1, '\0');
  text.resize(ReadAt(file.get(), 0, std::as_writable_bytes(std::span(text))));
  if (text.size() <= kLongestRecipe) return text;
  throw Error(ErrorKind::kInput, "expected a recipe of at most 1 MiB, found a longer file")
      .WithPath(path);
}

// A value that is read as this very text, whatever stands in it.
void EmitText(YAML::Emitter& out, const char* key, const std::string& text) {
  out << YAML::Key << key << YAML::Value << YAML::DoubleQuoted << text;
}

void EmitNonEmpty(YAML::Emitter& out, const char* key, const std::string& text) {
  if (!text.empty()) EmitText(out, key, text);
}

void EmitList(YAML::Emitter& out, const char* key, const std::vector<std::string>& texts) {
  if (texts.empty()) return;
  out << YAML::Key << key << YAML::Value << YAML::BeginSeq;
  for (const std::string& text : texts) out << YAML::DoubleQuoted << text;
  out << YAML::EndSeq;
}

void EmitMap(YAML::Emitter& out, const char* key,
             const std::vector<Manifest::Variable>& variables) {
  if (variables.empty()) return;
  out << YAML::Key << key << YAML::Value << YAML::BeginMap;
  for (const Manifest::Variable& variable : variables) {
    out << YAML::Key << YAML::DoubleQuoted << variable.name << YAML::Value << YAML::DoubleQuoted
        << variable.value;
  }
  out << YAML::EndMap;
}

void EmitSource(YAML::Emitter& out, const RecipeSource& source) {
  out << YAML::Key << "source" << YAML::Value << YAML::BeginMap;
  EmitText(out, "path", source.path);
  out << YAML::Key << "kind" << YAML::Value << std::string(SourceKindName(source.kind));
  EmitNonEmpty(out, "tool", source.tool);
  EmitNonEmpty(out, "python", source.python);
  if (source.resolve) out << YAML::Key << "resolve" << YAML::Value << true;
  EmitList(out, "options", source.options);
  out << YAML::EndMap;
}

void EmitRules(YAML::Emitter& out, const RecipeRules& rules) {
  const std::pair<const char*, bool> values[] = {
      {"flatten", rules.flatten}, {"scripts", rules.scripts}, {"relocate", rules.relocate},
      {"markers", rules.markers}, {"clean", rules.clean},     {"compile", rules.compile},
      {"strip", rules.strip},     {"strict", rules.strict},
  };
  out << YAML::Key << "rules" << YAML::Value << YAML::BeginMap;
  for (const auto& [name, value] : values) out << YAML::Key << name << YAML::Value << value;
  out << YAML::EndMap;
}

void EmitChecks(YAML::Emitter& out, const Recipe& recipe) {
  if (recipe.checks.empty() && recipe.default_checks) return;
  out << YAML::Key << "checks" << YAML::Value << YAML::BeginSeq;
  if (!recipe.default_checks) {
    out << YAML::BeginMap << YAML::Key << "default" << YAML::Value << false << YAML::EndMap;
  }
  for (const RecipeCheck& check : recipe.checks) {
    out << YAML::BeginMap;
    EmitList(out, "command", check.command);
    out << YAML::Key << "timeout" << YAML::Value << check.timeout.count() << YAML::EndMap;
  }
  out << YAML::EndSeq;
}

}  // namespace

std::string_view SourceKindName(SourceKind kind) {
  return std::find_if(kSourceKinds.begin(), kSourceKinds.end(),
                      [&](const auto& entry) { return entry.second == kind; })
      ->first;
}

std::optional<SourceKind> ParseSourceKind(std::string_view name) {
  const auto* const found = std::find_if(kSourceKinds.begin(), kSourceKinds.end(),
                                         [&](const auto& entry) { return entry.first == name; });
  if (found == kSourceKinds.end()) return std::nullopt;
  return found->second;
}

Recipe ParseRecipe(const std::string& yaml, const std::string& name, const std::string& directory) {
  Recipe recipe;
  RecipeReader reader(name, directory);
  reader.ReadDocument<Recipe>(yaml, kRecipeKeys, recipe);
  if (recipe.source.path.empty() && reader.mistake_count() == 0) {
    reader.AddMistake({YAML::Node(), YAML::Mark::null_mark()},
                      "expected the key source, which says what to build, found none");
  }
  reader.ThrowMistakes("the recipe", "firn-recipe(5) has every key.");
  return recipe;
}

Recipe ReadRecipe(const std::string& path) {
  const std::filesystem::path absolute = std::filesystem::absolute(path).lexically_normal();
  return ParseRecipe(ReadRecipeFile(path), path, absolute.parent_path().string());
}

std::string ToYaml(const Recipe& recipe) {
  YAML::Emitter out;
  out << YAML::BeginMap;
  EmitNonEmpty(out, "name", recipe.name);
  EmitNonEmpty(out, "version", recipe.version);
  EmitNonEmpty(out, "prefix", recipe.prefix);
  EmitSource(out, recipe.source);
  EmitNonEmpty(out, "base", recipe.base);
  EmitMap(out, "environment", recipe.environment);
  EmitList(out, "excludes", recipe.excludes);
  EmitRules(out, recipe.rules);
  EmitChecks(out, recipe);
  EmitNonEmpty(out, "profile", recipe.profile);
  EmitList(out, "scratch", recipe.scratch);
  EmitMap(out, "labels", recipe.labels);
  out << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

}  // namespace firn
