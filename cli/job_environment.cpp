#include "cli/job_environment.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <ranges>
#include <set>

#include "format/error.h"

namespace firn {
namespace {

// Where a caller has no PATH at all.
constexpr char kDefaultPath[] = "/usr/local/bin:/usr/bin:/bin";

std::string Get(const Environment& environment, const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() ? std::string() : found->second;
}

// `directory` in front of the search path, and nowhere else in it.
std::string PutInFront(const std::string& directory, std::string_view path) {
  std::string result = directory;
  while (!path.empty()) {
    const size_t colon = path.find(':');
    const std::string_view entry = path.substr(0, colon);
    if (entry != directory) result.append(":").append(entry);
    if (colon == std::string_view::npos) break;
    path.remove_prefix(colon + 1);
    if (path.empty()) result += ':';
  }
  return result;
}

[[noreturn]] void ThrowUnusable(const ImageInJob& image, const std::string& what) {
  throw Error(ErrorKind::kDamaged, "the manifest of image " + image.manifest.name + " " + what,
              "Build the image again; --no-environment sets none of its variables.");
}

// What one image after the other changes.
class Variables {
 public:
  explicit Variables(const Environment& caller) : now_(caller) {}

  void Set(const std::string& name, std::string value) {
    now_[name] = std::move(value);
    touched_.insert(name);
  }
  void Unset(const std::string& name) {
    now_.erase(name);
    touched_.insert(name);
  }
  const Environment& now() const { return now_; }

  std::vector<VariableChange> Changes() const {
    std::vector<VariableChange> changes;
    for (const std::string& name : touched_) {
      const auto found = now_.find(name);
      changes.push_back({name, found == now_.end() ? std::nullopt : std::optional(found->second)});
    }
    return changes;
  }

 private:
  Environment now_;
  std::set<std::string> touched_;
};

void ActivateConda(const std::string& prefix, Variables& variables) {
  const std::string before = Get(variables.now(), "CONDA_PREFIX");
  const std::string level_text = Get(variables.now(), "CONDA_SHLVL");
  unsigned level = 0;
  std::from_chars(level_text.data(), level_text.data() + level_text.size(), level);
  if (before.empty()) level = 0;
  if (before != prefix) {
    if (level > 0) variables.Set("CONDA_PREFIX_" + std::to_string(level), before);
    ++level;
  }
  variables.Set("CONDA_PREFIX", prefix);
  // As conda names an environment that lies in none of its own directories.
  variables.Set("CONDA_DEFAULT_ENV", prefix);
  variables.Set("CONDA_SHLVL", std::to_string(std::max(level, 1u)));
}

bool IsConda(const ImageInJob& image) { return image.manifest.kind == EnvironmentKind::kConda; }

void SetByKind(const ImageInJob& image, bool among_conda, Variables& variables) {
  const Manifest& manifest = image.manifest;
  const bool is_python =
      manifest.kind == EnvironmentKind::kPython || manifest.kind == EnvironmentKind::kVenv;
  if (manifest.python || is_python) {
    variables.Set("PYTHONNOUSERSITE", "1");
    variables.Unset("PYTHONHOME");
  }
  if (IsConda(image) || is_python) {
    // Of the caller: installers would take it for the one to change.
    variables.Unset("VIRTUAL_ENV");
    variables.Unset("VIRTUAL_ENV_PROMPT");
  }
  // uv takes an image that is no venv any more for an environment, and says what its
  // EXTERNALLY-MANAGED says, by this variable alone that gives way to a venv on top of it.
  if (IsConda(image) || (is_python && !among_conda)) ActivateConda(image.prefix, variables);
  if (manifest.kind == EnvironmentKind::kVenv) {
    variables.Set("VIRTUAL_ENV", image.prefix);
    variables.Set("VIRTUAL_ENV_PROMPT", manifest.name);
  }
}

void SetByManifest(const ImageInJob& image, Variables& variables) {
  for (const auto& [name, text] : image.manifest.environment) {
    if (!IsVariableName(name)) ThrowUnusable(image, "sets a variable that has no possible name");
    if (text.find('\0') != std::string::npos) ThrowUnusable(image, "has a zero byte in " + name);
    variables.Set(name, ExpandValue(text, image.prefix, variables.now()));
  }
}

void SetBy(const ImageInJob& image, bool among_conda, Variables& variables) {
  const auto path = variables.now().find("PATH");
  variables.Set("PATH", PutInFront(image.prefix + "/bin",
                                   path == variables.now().end() ? kDefaultPath : path->second));
  SetByKind(image, among_conda, variables);
  SetByManifest(image, variables);
}

struct Reference {
  std::string name;
  std::string fallback;
  size_t end = 0;  // behind the '}'
};

// The '}' that belongs to a "${" before `start`.
size_t FindClosing(std::string_view text, size_t start) {
  unsigned depth = 1;
  for (size_t at = start; at < text.size(); ++at) {
    if (text.substr(at).starts_with("${")) ++depth;
    if (text[at] == '}' && --depth == 0) return at;
  }
  return std::string_view::npos;
}

// What stands at `start` of the text, behind "${"; nothing where that is no reference.
std::optional<Reference> ParseReference(std::string_view text, size_t start) {
  const size_t end = FindClosing(text, start);
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view inside = text.substr(start, end - start);
  const size_t mark = inside.find(":-");
  const std::string_view name = inside.substr(0, mark);
  if (!IsVariableName(name)) return std::nullopt;
  Reference reference{.name = std::string(name), .fallback = {}, .end = end + 1};
  if (mark != std::string_view::npos) reference.fallback = inside.substr(mark + 2);
  return reference;
}

}  // namespace

bool IsVariableName(std::string_view name) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !name.empty() && is_letter(name.front()) &&
         std::ranges::all_of(name, [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

std::string ExpandValue(std::string_view text, std::string_view prefix,
                        const Environment& environment) {
  std::string result;
  size_t at = 0;
  while (at < text.size()) {
    if (text.substr(at).starts_with("$${")) {
      result += "${";
      at += 3;
      continue;
    }
    const bool starts = text.substr(at).starts_with("${");
    const std::optional<Reference> reference = starts ? ParseReference(text, at + 2) : std::nullopt;
    if (!reference) {
      result += text[at++];
      continue;
    }
    std::string value =
        reference->name == "PREFIX" ? std::string(prefix) : Get(environment, reference->name);
    if (value.empty()) value = ExpandValue(reference->fallback, prefix, environment);
    at = reference->end;
    if (value.empty()) {
      const bool last = at == text.size();
      if (result.ends_with(':') && (last || text[at] == ':')) {
        result.pop_back();
      } else if (result.empty() && !last && text[at] == ':') {
        ++at;
      }
    }
    result += value;
  }
  return result;
}

Environment OwnEnvironment() {
  Environment environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    // The first of a name is the one that getenv(3) finds.
    environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

void Apply(const std::vector<VariableChange>& changes, Environment& environment) {
  for (const auto& [name, value] : changes) {
    if (value) {
      environment[name] = *value;
    } else {
      environment.erase(name);
    }
  }
}

std::vector<VariableChange> JobVariables(std::span<const ImageInJob> images,
                                         const Environment& caller) {
  Variables variables(caller);
  const bool among_conda = std::ranges::any_of(images, IsConda);
  for (const ImageInJob& image : std::views::reverse(images)) {
    SetBy(image, among_conda, variables);
  }
  return variables.Changes();
}

}  // namespace firn
