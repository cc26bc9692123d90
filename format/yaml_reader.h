#ifndef FIRN_FORMAT_YAML_READER_H_
#define FIRN_FORMAT_YAML_READER_H_

#include <yaml-cpp/yaml.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace firn {

// Reads YAML and gathers all that is wrong with it instead of stopping at the first mistake. A
// value that is wrong leaves its target as it was.
class YamlReader {
 public:
  struct Value {
    YAML::Node node;
    YAML::Mark mark;  // where it stands; of an empty value: its key's place
  };

  // `name`: the file's, for messages.
  explicit YamlReader(std::string name) : name_(std::move(name)) {}

  // Numbers in decimal digits.
  template <typename Number>
  void ReadNumber(const Value& value, uint64_t least, uint64_t most, Number& target) {
    if (const auto number = NumberIn(value, least, most)) target = static_cast<Number>(*number);
  }
  void ReadBool(const Value& value, bool& target);
  void ReadAbsolutePath(const Value& value, std::string& target);

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

  // A text in which `is_valid` finds nothing wrong; `expected` ("expected a path") begins what is
  // said of others.
  void ReadText(const Value& value, const std::string& expected,
                const std::function<bool(const std::string&)>& is_valid, std::string& target);

  // Each item of a list, which may be empty.
  void VisitList(const Value& value, const std::string& expected,
                 const std::function<void(const Value& item)>& visit);
  // Each key and value of a mapping whose keys are free, but not written twice.
  void VisitMap(const Value& value, const std::string& expected,
                const std::function<void(const Value& key, const Value& value)>& visit);

  void AddMistake(const Value& value, const std::string& message);
  size_t mistake_count() const { return mistakes_.size(); }
  // Throws kUsage where there is a mistake: "WHAT has 2 mistakes:", each on a line of its own.
  void ThrowMistakes(const std::string& what, const std::string& remedy) const;

  // What stands there, for messages that go on "…, found ".
  static std::string Described(const Value& value);
  // Written without quotes: quoted, it is a text and no number.
  static bool IsPlain(const YAML::Node& node) { return node.Tag() != "!"; }
  std::optional<std::string> ScalarIn(const Value& value, const std::string& expected);

 protected:
  using Visit = std::function<void(size_t index, const Value& value)>;

  // Nothing where the text is empty, or no YAML, which is a mistake.
  std::optional<Value> Load(const std::string& yaml);
  void VisitKnown(const Value& value, const std::vector<std::string_view>& names,
                  const Visit& visit);

 private:
  std::optional<uint64_t> NumberIn(const Value& value, uint64_t least, uint64_t most);
  // `visit` gets keys that are scalars and stand there for the first time.
  void VisitEntries(const Value& value, const std::string& expected_key,
                    const std::function<void(const Value& key, const Value& value)>& visit);

  const std::string name_;
  std::vector<std::string> mistakes_;
};

// The same by tables of keys, into structs. `Reader` is the class that derives from this one: the
// functions of the tables get it.
template <typename Reader>
class YamlTableReader : public YamlReader {
 public:
  template <typename Target>
  struct Key {
    std::string_view name;
    void (*read)(Reader&, const Value&, Target&);
  };

  using YamlReader::YamlReader;

  // The mapping that the whole text is; one without content is empty.
  template <typename Target>
  void ReadDocument(const std::string& yaml, std::span<const Key<Target>> keys, Target& target) {
    if (const std::optional<Value> root = Load(yaml)) ReadMapping(*root, keys, target);
  }

  template <typename Target>
  void ReadMapping(const Value& value, std::span<const Key<Target>> keys, Target& target) {
    std::vector<std::string_view> names;
    for (const Key<Target>& key : keys) names.push_back(key.name);
    VisitKnown(value, names, [&](size_t index, const Value& entry) {
      keys[index].read(static_cast<Reader&>(*this), entry, target);
    });
  }
};

}  // namespace firn

#endif  // FIRN_FORMAT_YAML_READER_H_
