#include "mountd/config_reader.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <charconv>
#include <system_error>

#include "format/error.h"
#include "mountd/log_format.h"

namespace firn {
namespace {

constexpr size_t kLongestQuote = 60;

std::string Quoted(const std::string& text) {
  std::string shown = OnOneLine(text);
  if (shown.size() > kLongestQuote) shown = shown.substr(0, kLongestQuote) + "…";
  return "'" + shown + "'";
}

std::string Joined(const std::vector<std::string_view>& words) {
  std::string text;
  for (const std::string_view word : words) {
    if (!text.empty()) text += ", ";
    text += word;
  }
  return text;
}

std::optional<uint64_t> DecimalIn(const std::string& text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Written without quotes: quoted, it is a text and no number.
bool IsPlain(const YAML::Node& node) { return node.Tag() != "!"; }

// user:role:type, or with a level behind: letters that neither the kernel's nor a shell's quoting
// knows.
bool IsSelinuxContext(const std::string& text) {
  const auto is_allowed = [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view("_.-:,").find(static_cast<char>(c)) != std::string_view::npos;
  };
  if (!std::all_of(text.begin(), text.end(), is_allowed)) return false;
  size_t start = 0;
  for (int part = 0; part < 3; ++part) {
    const size_t end = std::min(text.find(':', start), text.size());
    if (end == start) return false;
    if (end == text.size()) return part == 2;
    start = end + 1;
  }
  return start < text.size();
}

}  // namespace

std::optional<ConfigReader::Value> ConfigReader::Load(const std::string& yaml) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(yaml);
    if (documents.empty() || documents.front().IsNull()) return std::nullopt;
    const Value root{documents.front(), documents.front().Mark()};
    if (documents.size() == 1) return root;
    AddMistake({documents[1], documents[1].Mark()}, "expected one document, found another one");
  } catch (const YAML::Exception& error) {
    AddMistake({YAML::Node(), error.mark}, "not YAML: " + error.msg);
  }
  return std::nullopt;
}

void ConfigReader::VisitMapping(const Value& value, const std::vector<std::string_view>& names,
                                const Visit& visit) {
  if (!value.node.IsMap()) {
    AddMistake(value,
               "expected keys with values (" + Joined(names) + "), found " + Described(value));
    return;
  }
  std::map<std::string, int> seen;  // and on which line
  for (const auto& entry : value.node) {
    const Value key{entry.first, entry.first.Mark()};
    if (!key.node.IsScalar()) {
      AddMistake(key, "expected one of the keys " + Joined(names) + ", found " + Described(key));
      continue;
    }
    const std::string& name = key.node.Scalar();
    const auto known = std::find(names.begin(), names.end(), name);
    const auto [first, is_new] = seen.emplace(name, key.mark.line);
    if (known == names.end()) {
      AddMistake(key, "unknown key " + Quoted(name) + "; known are " + Joined(names));
    } else if (!is_new) {
      AddMistake(key, "the key " + name + " stands on line " + std::to_string(first->second + 1) +
                          " already");
    } else {
      const bool has_mark = !entry.second.Mark().is_null() && !entry.second.IsNull();
      visit(static_cast<size_t>(known - names.begin()),
            {entry.second, has_mark ? entry.second.Mark() : key.mark});
    }
  }
}

std::optional<uint64_t> ConfigReader::NumberIn(const Value& value, uint64_t least, uint64_t most) {
  const std::string expected =
      "expected a number from " + std::to_string(least) + " to " + std::to_string(most);
  const std::optional<std::string> text = ScalarIn(value, expected);
  if (!text) return std::nullopt;
  const std::optional<uint64_t> number = IsPlain(value.node) ? DecimalIn(*text) : std::nullopt;
  if (number && *number >= least && *number <= most) return number;
  AddMistake(value, expected + ", found " + Described(value));
  return std::nullopt;
}

std::optional<uint64_t> ConfigReader::SizeIn(const Value& value, uint64_t least, uint64_t most) {
  const std::string expected = "expected a size from " + std::to_string(least) + " to " +
                               std::to_string(most) + " bytes, such as 67108864, 64M or 64MiB";
  std::optional<std::string> text = ScalarIn(value, expected);
  if (!text) return std::nullopt;
  std::optional<uint64_t> number;
  try {
    CLI::AsSizeValue(/*kb_is_1000=*/false)(*text);  // replaces the text by the number of bytes
    number = DecimalIn(*text);
  } catch (const CLI::ValidationError&) {  // no size: told below, with where it stands
  }
  if (number && *number >= least && *number <= most) return number;
  AddMistake(value, expected + ", found " + Described(value));
  return std::nullopt;
}

void ConfigReader::ReadBool(const Value& value, bool& target) {
  const std::string expected = "expected true or false";
  const std::optional<std::string> text = ScalarIn(value, expected);
  if (!text) return;
  if (IsPlain(value.node) && (*text == "true" || *text == "false")) {
    target = *text == "true";
  } else {
    AddMistake(value, expected + ", found " + Described(value));
  }
}

void ConfigReader::ReadAbsolutePath(const Value& value, std::string& target) {
  const std::string expected = "expected an absolute path";
  const std::optional<std::string> text = ScalarIn(value, expected);
  if (!text) return;
  if (text->starts_with('/') && text->find('\0') == std::string::npos) {
    target = *text;
  } else {
    AddMistake(value, expected + ", found " + Described(value));
  }
}

void ConfigReader::ReadSelinuxContext(const Value& value, std::string& target) {
  const std::string expected = "expected a context such as system_u:object_r:usr_t:s0";
  const std::optional<std::string> text = ScalarIn(value, expected);
  if (!text) return;
  if (IsSelinuxContext(*text)) {
    target = *text;
  } else {
    AddMistake(value, expected + ", found " + Described(value));
  }
}

std::optional<std::string> ConfigReader::ScalarIn(const Value& value, const std::string& expected) {
  if (value.node.IsScalar()) return value.node.Scalar();
  AddMistake(value, expected + ", found " + Described(value));
  return std::nullopt;
}

std::string ConfigReader::Described(const Value& value) {
  switch (value.node.Type()) {
    case YAML::NodeType::Scalar:
      return (IsPlain(value.node) ? "" : "the text ") + Quoted(value.node.Scalar());
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Map:
      return "keys with values";
    case YAML::NodeType::Null:
    case YAML::NodeType::Undefined:
      break;
  }
  return "nothing";
}

void ConfigReader::AddMistake(const Value& value, const std::string& message) {
  std::string place = name_;
  if (!value.mark.is_null()) {
    place +=
        ":" + std::to_string(value.mark.line + 1) + ":" + std::to_string(value.mark.column + 1);
  }
  mistakes_.push_back(place + ": " + message);
}

void ConfigReader::ThrowMistakes() const {
  if (mistakes_.empty()) return;
  std::string text = mistakes_.size() == 1 ? std::string("the configuration has a mistake:")
                                           : "the configuration has " +
                                                 std::to_string(mistakes_.size()) + " mistakes:";
  for (const std::string& mistake : mistakes_) text += "\n" + mistake;
  throw Error(ErrorKind::kUsage, text, "firnd.yaml(5) has every key.");
}

}  // namespace firn
