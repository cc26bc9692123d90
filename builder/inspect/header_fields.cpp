#include "builder/inspect/header_fields.h"

#include <strings.h>

#include <algorithm>

namespace firn {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

// Takes the first line off `text`, with its line feed.
std::string_view TakeLine(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end);
  return line;
}

bool SameKey(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

// The lines of a value, each without blanks around it.
std::string JoinedLines(std::string_view value) {
  std::string joined;
  while (!value.empty()) {
    const std::string_view line = Trimmed(TakeLine(value));
    if (!joined.empty() && !line.empty()) joined += '\n';
    joined += line;
  }
  return joined;
}

}  // namespace

std::string_view Trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) + 1 - first);
}

HeaderFields::HeaderFields(std::string_view text) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  while (!text.empty()) {
    const std::string_view line = TakeLine(text);
    if (Trimmed(line).empty()) break;
    if (line.front() == ' ' || line.front() == '\t') {
      if (fields_.empty()) continue;
      std::string_view& value = fields_.back().second;
      value = {value.data(), static_cast<size_t>(line.data() + line.size() - value.data())};
      continue;
    }
    const size_t colon = line.find(':');
    if (colon == line.npos) continue;
    fields_.emplace_back(Trimmed(line.substr(0, colon)), line.substr(colon + 1));
  }
}

std::string HeaderFields::Get(std::string_view key) const {
  for (const auto& [name, value] : fields_) {
    if (SameKey(name, key)) return JoinedLines(value);
  }
  return {};
}

std::vector<std::string> HeaderFields::GetAll(std::string_view key) const {
  std::vector<std::string> values;
  for (const auto& [name, value] : fields_) {
    if (SameKey(name, key)) values.push_back(JoinedLines(value));
  }
  return values;
}

void ForEachParagraph(std::string_view text, const std::function<void(std::string_view)>& take) {
  while (!text.empty()) {
    const char* const start = text.data();
    size_t length = 0;
    while (!text.empty()) {
      const std::string_view line = TakeLine(text);
      if (Trimmed(line).empty()) break;
      length += line.size();
    }
    if (length > 0) take({start, length});
  }
}

}  // namespace firn
