#ifndef FIRN_FORMAT_YAML_DOCUMENT_H_
#define FIRN_FORMAT_YAML_DOCUMENT_H_

#include <yaml-cpp/yaml.h>

#include <cstddef>
#include <optional>
#include <string>

namespace firn {

// What a text may ask of its reader. yaml-cpp calls itself for each level, takes hundreds of bytes
// for each value, and shares what an alias stands for until somebody reads it out.
inline constexpr size_t kMaxYamlDepth = 64;
inline constexpr size_t kMaxYamlValues = size_t{1} << 20;
// Values, and bytes of scalars, that aliases may add to those that are written.
inline constexpr size_t kMaxYamlAliased = size_t{1} << 20;

struct YamlDocument {
  YAML::Node root;                    // undefined where the text has no content
  std::optional<YAML::Mark> another;  // where a second document stands
};

// Throws YAML::ParserException, with the place, for what is no YAML and past the limits. What
// follows a second document is not looked at: yaml-cpp finds documents without end in some texts.
YamlDocument LoadYamlDocument(const std::string& text, size_t max_values = kMaxYamlValues);

}  // namespace firn

#endif  // FIRN_FORMAT_YAML_DOCUMENT_H_
