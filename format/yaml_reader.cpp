#include "format/yaml_reader.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <map>
#include <system_error>

#include "format/error.h"
#include "format/yaml_document.h"

namespace firn {
namespace {

constexpr size_t kLongestQuote = 60;

// On one line, so that a value cannot forge one; YAML is UTF-8 already.
std::string Quoted(const std::string& text) {
  std::string shown;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      shown += "; ";
    } else if (byte < 0x20 || byte == 0x7f) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
      shown += escaped;
    } else {
      shown += c;
    }
  }
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

}  // namespace

std::optional<YamlReader::Value> YamlReader::Load(const std::string& yaml) {
  try {
    const YamlDocument document = LoadYamlDocument(yaml);
    if (!document.another) {
      if (!document.root.IsDefined() || document.root.IsNull()) return std::nullopt;
      return Value{document.root, document.root.Mark()};
    }
    AddMistake({YAML::Node(), *document.another}, "expected one document, found another one");
  } catch (const YAML::Exception& error) {
    AddMistake({YAML::Node(), error.mark}, "not YAML: " + error.msg);
  }
  return std::nullopt;
}

void YamlReader::VisitEntries(
    const Value& value, const std::string& expected_key,
    const std::function<void(const Value& key, const Value& value)>& visit) {
  std::map<std::string, int> seen;  // and on which line
  for (const auto& entry : value.node) {
    const Value key{entry.first, entry.first.Mark()};
    if (!key.node.IsScalar()) {
      AddMistake(key, expected_key + ", found " + Described(key));
      continue;
    }
    const std::string& name = key.node.Scalar();
    const auto [first, is_new] = seen.emplace(name, key.mark.line);
    if (!is_new) {
      AddMistake(key, "the key " + Quoted(name) + " stands on line " +
                          std::to_string(first->second + 1) + " already");
      continue;
    }
    const bool has_mark = !entry.second.Mark().is_null() && !entry.second.IsNull();
    visit(key, {entry.second, has_mark ? entry.second.Mark() : key.mark});
  }
}

void YamlReader::VisitKnown(const Value& value, const std::vector<std::string_view>& names,
                            const Visit& visit) {
  if (!value.node.IsMap()) {
    AddMistake(value,
               "expected keys with values (" + Joined(names) + "), found " + Described(value));
    return;
  }
  VisitEntries(value, "expected one of the keys " + Joined(names),
               [&](const Value& key, const Value& entry) {
                 const std::string& name = key.node.Scalar();
                 const auto known = std::find(names.begin(), names.end(), name);
                 if (known == names.end()) {
                   AddMistake(key, "unknown key " + Quoted(name) + "; known are " + Joined(names));
                 } else {
                   visit(static_cast<size_t>(known - names.begin()), entry);
                 }
               });
}

void YamlReader::VisitMap(const Value& value, const std::string& expected,
                          const std::function<void(const Value& key, const Value& value)>& visit) {
  if (!value.node.IsMap()) {
    AddMistake(value, expected + ", found " + Described(value));
    return;
  }
  VisitEntries(value, expected, visit);
}

void YamlReader::VisitList(const Value& value, const std::string& expected,
                           const std::function<void(const Value& item)>& visit) {
  if (!value.node.IsSequence()) {
    AddMistake(value, expected + ", found " + Described(value));
    return;
  }
  for (const auto& item : value.node) {
    const YAML::Node node = item;
    const bool has_mark = !node.Mark().is_null() && !node.IsNull();
    visit({node, has_mark ? node.Mark() : value.mark});
  }
}

std::optional<uint64_t> YamlReader::NumberIn(const Value& value, uint64_t least, uint64_t most) {
  const std::string expected =
      "expected a number from " + std::to_string(least) + " to " + std::to_string(most);
  const std::optional<std::string> text = ScalarIn(value, expected);
  if (!text) return std::nullopt;
  const std::optional<uint64_t> number = IsPlain(value.node) ? DecimalIn(*text) : std::nullopt;
  if (number && *number >= least && *number <= most) return number;
  AddMistake(value, expected + ", found " + Described(value));
  return std::nullopt;
}

void YamlReader::ReadBool(const Value& value, bool& target) {
  const std::string expected = "expected true or false";
  const std::optional<std::string> text = ScalarIn(value, expected);
  if (!text) return;
  if (IsPlain(value.node) && (*text == "true" || *text == "false")) {
    target = *text == "true";
  } else {
    AddMistake(value, expected + ", found " + Described(value));
  }
}

void YamlReader::ReadText(const Value& value, const std::string& expected,
                          const std::function<bool(const std::string&)>& is_valid,
                          std::string& target) {
  const std::optional<std::string> text = ScalarIn(value, expected);
  if (!text) return;
  if (is_valid(*text)) {
    target = *text;
  } else {
    AddMistake(value, expected + ", found " + Described(value));
  }
}

void YamlReader::ReadAbsolutePath(const Value& value, std::string& target) {
  ReadText(
      value, "expected an absolute path",
      [](const std::string& text) {
        return text.starts_with('/') && text.find('\0') == std::string::npos;
      },
      target);
}

std::optional<std::string> YamlReader::ScalarIn(const Value& value, const std::string& expected) {
  if (value.node.IsScalar()) return value.node.Scalar();
  AddMistake(value, expected + ", found " + Described(value));
  return std::nullopt;
}

std::string YamlReader::Described(const Value& value) {
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

void YamlReader::AddMistake(const Value& value, const std::string& message) {
  std::string place = name_;
  if (!value.mark.is_null()) {
    place +=
        ":" + std::to_string(value.mark.line + 1) + ":" + std::to_string(value.mark.column + 1);
  }
  mistakes_.push_back(place + ": " + message);
}

void YamlReader::ThrowMistakes(const std::string& what, const std::string& remedy) const {
  if (mistakes_.empty()) return;
  std::string text = mistakes_.size() == 1
                         ? what + " has a mistake:"
                         : what + " has " + std::to_string(mistakes_.size()) + " mistakes:";
  for (const std::string& mistake : mistakes_) text += "\n" + mistake;
  throw Error(ErrorKind::kUsage, text, remedy);
}

}  // namespace firn
