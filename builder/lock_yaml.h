#ifndef FIRN_BUILDER_LOCK_YAML_H_
#define FIRN_BUILDER_LOCK_YAML_H_

#include <yaml-cpp/yaml.h>

#include <string>

namespace firn {

// Throws kInput, with the line, for what is no YAML. `path` is for messages.
YAML::Node LoadLockYaml(const std::string& text, const std::string& path);

// The value of a key; empty where it is none or the node no mapping.
std::string ScalarOf(const YAML::Node& node, const char* key);

}  // namespace firn

#endif  // FIRN_BUILDER_LOCK_YAML_H_
