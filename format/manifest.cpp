#include "format/manifest.h"

#include <yaml-cpp/yaml.h>

#include <array>
#include <exception>
#include <limits>
#include <utility>

#include "format/error.h"
#include "format/layout.h"
#include "format/yaml_document.h"

namespace firn {
namespace {

// Values of the YAML: paths mostly, of which a manifest of full length holds fewer.
constexpr size_t kMaxManifestValues = size_t{1} << 17;

Error DamagedManifest(const std::string& message) {
  return DamagedError("the manifest " + message);
}

template <typename T>
void Load(const YAML::Node& from, const char* key, T& to) {
  if (const YAML::Node value = from[key]) to = value.as<T>();
}

// The mapping under that key; an undefined node where there is none.
YAML::Node Mapping(const YAML::Node& from, const char* key) {
  const YAML::Node value = from[key];
  if (value && !value.IsMap()) throw DamagedManifest(std::string("has no mapping under ") + key);
  return value;
}

Manifest::Contents LoadContents(const YAML::Node& node) {
  Manifest::Contents contents;
  Load(node, "files", contents.files);
  Load(node, "directories", contents.directories);
  Load(node, "symlinks", contents.symlinks);
  Load(node, "others", contents.others);
  Load(node, "hard_links", contents.hard_links);
  Load(node, "bytes", contents.bytes);
  return contents;
}

Manifest::Python LoadPython(const YAML::Node& node) {
  Manifest::Python python;
  Load(node, "version", python.version);
  Load(node, "compiled", python.compiled);
  Load(node, "not_compiled", python.not_compiled);
  return python;
}

std::vector<Manifest::Variable> LoadVariables(const YAML::Node& node) {
  std::vector<Manifest::Variable> variables;
  for (const auto& entry : node) {
    variables.push_back({entry.first.as<std::string>(), entry.second.as<std::string>()});
  }
  return variables;
}

constexpr std::array<std::pair<EnvironmentKind, const char*>, 3> kKindNames{
    {{EnvironmentKind::kPython, "python"},
     {EnvironmentKind::kVenv, "venv"},
     {EnvironmentKind::kConda, "conda"}}};

// A kind that only a later version knows is no error: its jobs lack variables, no more.
EnvironmentKind KindOf(const std::string& text) {
  for (const auto& [kind, name] : kKindNames) {
    if (text == name) return kind;
  }
  return EnvironmentKind::kOther;
}

void EmitKind(YAML::Emitter& out, EnvironmentKind kind) {
  for (const auto& [known, name] : kKindNames) {
    if (kind == known) out << YAML::Key << "kind" << YAML::Value << name;
  }
}

Manifest Load(const YAML::Node& root) {
  if (!root.IsMap()) throw DamagedManifest("is no mapping");
  Manifest manifest;
  Load(root, "name", manifest.name);
  Load(root, "version", manifest.version);
  Load(root, "prefix", manifest.prefix);
  if (const YAML::Node kind = root["kind"]) manifest.kind = KindOf(kind.as<std::string>());
  Load(root, "builder", manifest.builder);
  Load(root, "time", manifest.time);
  if (const YAML::Node compression = Mapping(root, "compression")) {
    Load(compression, "name", manifest.compression);
    Load(compression, "level", manifest.compression_level);
    Load(compression, "block_size", manifest.block_size);
    Load(compression, "library", manifest.compression_library);
  }
  if (const YAML::Node contents = Mapping(root, "contents"))
    manifest.contents = LoadContents(contents);
  if (const YAML::Node python = Mapping(root, "python")) manifest.python = LoadPython(python);
  if (const YAML::Node base = Mapping(root, "base")) {
    manifest.base.emplace();
    Load(base, "id", manifest.base->id);
    Load(base, "path", manifest.base->path);
  }
  manifest.environment = LoadVariables(Mapping(root, "environment"));
  Load(root, "scratch", manifest.scratch);
  manifest.labels = LoadVariables(Mapping(root, "labels"));
  Load(root, "bound", manifest.bound);
  return manifest;
}

void EmitContents(YAML::Emitter& out, const Manifest::Contents& contents) {
  out << YAML::Key << "contents" << YAML::Value << YAML::BeginMap;
  out << YAML::Key << "files" << YAML::Value << contents.files;
  out << YAML::Key << "directories" << YAML::Value << contents.directories;
  out << YAML::Key << "symlinks" << YAML::Value << contents.symlinks;
  out << YAML::Key << "others" << YAML::Value << contents.others;
  out << YAML::Key << "hard_links" << YAML::Value << contents.hard_links;
  out << YAML::Key << "bytes" << YAML::Value << contents.bytes;
  out << YAML::EndMap;
}

void EmitVariables(YAML::Emitter& out, const char* key,
                   const std::vector<Manifest::Variable>& variables) {
  if (variables.empty()) return;
  out << YAML::Key << key << YAML::Value << YAML::BeginMap;
  for (const auto& [name, value] : variables) {
    out << YAML::Key << YAML::DoubleQuoted << name << YAML::Value << YAML::DoubleQuoted << value;
  }
  out << YAML::EndMap;
}

void EmitList(YAML::Emitter& out, const char* key, const std::vector<std::string>& list) {
  if (list.empty()) return;
  out << YAML::Key << key << YAML::Value << YAML::BeginSeq;
  for (const std::string& text : list) out << YAML::DoubleQuoted << text;
  out << YAML::EndSeq;
}

void EmitPython(YAML::Emitter& out, const Manifest::Python& python) {
  out << YAML::Key << "python" << YAML::Value << YAML::BeginMap;
  out << YAML::Key << "version" << YAML::Value << YAML::DoubleQuoted << python.version;
  out << YAML::Key << "compiled" << YAML::Value << python.compiled;
  out << YAML::Key << "not_compiled" << YAML::Value << YAML::BeginSeq;
  for (const std::string& path : python.not_compiled) out << YAML::DoubleQuoted << path;
  out << YAML::EndSeq << YAML::EndMap;
}

}  // namespace

std::string Manifest::ToYaml() const {
  YAML::Emitter out;
  out << YAML::BeginMap;
  out << YAML::Key << "format" << YAML::Value << kFormatVersion;
  out << YAML::Key << "name" << YAML::Value << YAML::DoubleQuoted << name;
  if (!version.empty()) {
    out << YAML::Key << "version" << YAML::Value << YAML::DoubleQuoted << version;
  }
  out << YAML::Key << "prefix" << YAML::Value << YAML::DoubleQuoted << prefix;
  EmitKind(out, kind);
  out << YAML::Key << "builder" << YAML::Value << YAML::DoubleQuoted << builder;
  out << YAML::Key << "time" << YAML::Value << time;
  out << YAML::Key << "compression" << YAML::Value << YAML::BeginMap;
  out << YAML::Key << "name" << YAML::Value << compression;
  out << YAML::Key << "level" << YAML::Value << compression_level;
  out << YAML::Key << "block_size" << YAML::Value << block_size;
  out << YAML::Key << "library" << YAML::Value << YAML::DoubleQuoted << compression_library;
  out << YAML::EndMap;
  EmitContents(out, contents);
  if (python) EmitPython(out, *python);
  if (base) {
    out << YAML::Key << "base" << YAML::Value << YAML::BeginMap;
    out << YAML::Key << "id" << YAML::Value << YAML::DoubleQuoted << base->id;
    out << YAML::Key << "path" << YAML::Value << YAML::DoubleQuoted << base->path;
    out << YAML::EndMap;
  }
  EmitVariables(out, "environment", environment);
  EmitList(out, "scratch", scratch);
  EmitVariables(out, "labels", labels);
  EmitList(out, "bound", bound);
  out << YAML::EndMap << YAML::Newline;
  if (!out.good()) {
    throw Error(ErrorKind::kInternal, "cannot write the manifest: " + out.GetLastError());
  }
  if (out.size() > kMaxManifestLength) {
    throw Error(ErrorKind::kInput,
                "expected a manifest of at most 1 MiB, which readers take, found one of " +
                    std::to_string(out.size()) + " bytes",
                "Too many files are bound to the prefix, or were not compiled, or labels are long: "
                "leave some out (excludes: of the recipe).");
  }
  return out.c_str();
}

Manifest Manifest::FromYaml(std::string_view yaml) {
  if (yaml.size() > kMaxManifestLength) throw DamagedManifest("is longer than 1 MiB");
  Manifest manifest;
  try {
    const YamlDocument document = LoadYamlDocument(std::string(yaml), kMaxManifestValues);
    if (document.another) throw DamagedManifest("has a second document");
    manifest = Load(document.root);
  } catch (const YAML::Exception& error) {
    throw DamagedManifest(std::string("is not what it must be: ") + error.what());
  }
  if (manifest.name.empty()) throw DamagedManifest("has no name");
  if (!manifest.prefix.starts_with('/')) throw DamagedManifest("has no absolute prefix");
  return manifest;
}

}  // namespace firn
