#ifndef FIRN_MOUNTD_CONFIG_READER_H_
#define FIRN_MOUNTD_CONFIG_READER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "format/yaml_reader.h"

namespace firn {

// firnd.yaml(5), with the kinds of values that only it has.
class ConfigReader : public YamlTableReader<ConfigReader> {
 public:
  using YamlTableReader::YamlTableReader;

  // Sizes as the command line takes them (CLI::AsSizeValue).
  template <typename Number>
  void ReadSize(const Value& value, uint64_t least, uint64_t most, Number& target) {
    if (const auto number = SizeIn(value, least, most)) target = static_cast<Number>(*number);
  }
  // Where the value of `policy` stands, for what only the whole shows to be wrong.
  void SetPolicyPlace(const Value& value) { policy_place_ = value; }
  const std::optional<Value>& policy_place() const { return policy_place_; }

  void ReadSelinuxContext(const Value& value, std::string& target);

  // Throws kUsage where there is a mistake.
  void ThrowMistakes() const;

 private:
  std::optional<uint64_t> SizeIn(const Value& value, uint64_t least, uint64_t most);

  std::optional<Value> policy_place_;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_CONFIG_READER_H_
