#include "builder/lock_yaml.h"

#include "format/error.h"
#include "format/yaml_document.h"

namespace firn {

YAML::Node LoadLockYaml(const std::string& text, const std::string& path) {
  try {
    return LoadYamlDocument(text).root;
  } catch (const YAML::Exception& error) {
    throw Error(ErrorKind::kInput,
                "line " + std::to_string(error.mark.line + 1) + " is not YAML: " + error.msg)
        .WithPath(path);
  }
}

std::string ScalarOf(const YAML::Node& node, const char* key) {
  if (!node.IsMap() || !node[key] || !node[key].IsScalar()) return {};
  return node[key].Scalar();
}

}  // namespace firn
