#ifndef FIRN_MOUNTD_CONFIG_READER_H_
#define FIRN_MOUNTD_CONFIG_READER_H_

#include <yaml-cpp/yaml.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace firn {

// Reads YAML into structs by tables of keys, and gathers all that is wrong with it instead of
// stopping at the first mistake. A value that is wrong leaves its target as it was.
class ConfigReader {
 public:
  struct Value {
    YAML::Node node;
    YAML::Mark mark;  // where it stands; of an empty value: its key's place
  };

  template <typename Target>
  struct Key {
    std::string_view name;
    void (*read)(ConfigReader&, const Value&, Target&);
  };

  // `name`: the file's, for messages.
  explicit ConfigReader(std::string name) : name_(std::move(name)) {}

  // The mapping that the whole text is; one without content is empty.
  template <typename Target>
  void ReadDocument(const std::string& yaml, std::span<const Key<Target>> keys, Target& target) {
    if (const std::optional<Value> root = Load(yaml)) ReadMapping(*root, keys, target);
  }

  template <typename Target>
  void ReadMapping(const Value& value, std::span<const Key<Target>> keys, Target& target) {
    std::vector<std::string_view> names;
    for (const Key<Target>& key : keys) names.push_back(key.name);
    VisitMapping(value, names,
                 [&](size_t index, const Value& entry) { keys[index].read(*this, entry, target); });
  }

  // Numbers in decimal digits; sizes as the command line takes them (CLI::AsSizeValue).
  template <typename Number>
  void ReadNumber(const Value& value, uint64_t least, uint64_t most, Number& target) {
    if (const auto number = NumberIn(value, least, most)) target = static_cast<Number>(*number);
  }
  template <typename Number>
  void ReadSize(const Value& value, uint64_t least, uint64_t most, Number& target) {
    if (const auto number = SizeIn(value, least, most)) target = static_cast<Number>(*number);
  }
  void ReadBool(const Value& value, bool& target);
  void ReadAbsolutePath(const Value& value, std::string& target);
  void ReadSelinuxContext(const Value& value, std::string& target);

  // A word that `parse` knows; `names` lists those, for messages.
  template <typename Parse, typename Target>
  void ReadName(const Value& value, std::string_view names, Parse parse, Target& target) {
    const std::string expected = "expected " + std::string(names);
    const std::optional<std::string> text = ScalarIn(value, expected);
    if (!text) return;
    const std::optional<Target> parsed = parse(*text);
    if (parsed) {
      target = *parsed;
    } else {
      AddMistake(value, expected + ", found " + Described(value));
    }
  }

  void AddMistake(const Value& value, const std::string& message);
  size_t mistake_count() const { return mistakes_.size(); }
  // Throws kUsage where there is a mistake.
  void ThrowMistakes() const;

 private:
  using Visit = std::function<void(size_t index, const Value& value)>;

  std::optional<Value> Load(const std::string& yaml);
  void VisitMapping(const Value& value, const std::vector<std::string_view>& names,
                    const Visit& visit);
  std::optional<uint64_t> NumberIn(const Value& value, uint64_t least, uint64_t most);
  std::optional<uint64_t> SizeIn(const Value& value, uint64_t least, uint64_t most);
  std::optional<std::string> ScalarIn(const Value& value, const std::string& expected);
  static std::string Described(const Value& value);

  const std::string name_;
  std::vector<std::string> mistakes_;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_CONFIG_READER_H_
