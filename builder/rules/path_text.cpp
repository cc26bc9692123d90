#include "builder/rules/path_text.h"

#include <algorithm>

namespace firn {
namespace {

// What may stand in the middle of a name.
bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '+' || c == '@' || c == '%';
}

// Is what stands before `at` the upper part of a longer path? "-I" and "file://" are not.
bool ContinuesPath(std::string_view text, size_t at) {
  if (at >= 3 && text.substr(at - 3, 3) == "://") return false;
  size_t name = at;
  while (name > 0 && (IsNameCharacter(text[name - 1]) || text[name - 1] == '.')) --name;
  return name > 0 && text[name - 1] == '/';
}

bool EndsName(std::string_view rest) {
  if (rest.empty()) return true;
  if (rest[0] == '.') return rest.size() == 1 || !IsNameCharacter(rest[1]);
  return !IsNameCharacter(rest[0]);
}

}  // namespace

size_t FindPath(std::string_view text, std::string_view path, size_t start) {
  if (path.size() < 2) return std::string_view::npos;
  for (size_t at = text.find(path, start); at != std::string_view::npos;
       at = text.find(path, at + 1)) {
    if (EndsName(text.substr(at + path.size())) && !ContinuesPath(text, at)) return at;
  }
  return std::string_view::npos;
}

std::optional<std::string> ReplacePath(std::string_view text, std::string_view from,
                                       std::string_view to) {
  size_t at = FindPath(text, from);
  if (at == std::string_view::npos) return std::nullopt;
  std::string result;
  size_t done = 0;
  for (; at != std::string_view::npos; at = FindPath(text, from, done)) {
    result += text.substr(done, at - done);
    result += to;
    done = at + from.size();
  }
  result += text.substr(done);
  return result;
}

BinaryReplacement ReplaceInBinary(std::string& content, std::string_view from, std::string_view to,
                                  size_t room) {
  BinaryReplacement outcome = BinaryReplacement::kNone;
  const size_t growth = room > from.size() ? room - from.size() : 0;
  size_t at = FindPath(content, from);
  while (at != std::string::npos) {
    const size_t end = std::min(content.find('\0', at), content.size());
    const std::string_view old(content.data() + at, end - at);
    size_t count = 0;
    for (size_t i = FindPath(old, from); i != std::string_view::npos;
         i = FindPath(old, from, i + from.size())) {
      ++count;
    }
    const std::string made = *ReplacePath(old, from, to);
    // One NUL must stay behind the string.
    size_t limit = end;
    while (limit < content.size() && limit < end + count * growth + 1 && content[limit] == '\0') {
      ++limit;
    }
    const size_t space = limit > end ? limit - 1 - at : old.size();
    if (made.size() > space) return BinaryReplacement::kTooLong;
    std::fill_n(content.begin() + static_cast<ptrdiff_t>(at), std::max(old.size(), made.size()),
                '\0');
    std::copy(made.begin(), made.end(), content.begin() + static_cast<ptrdiff_t>(at));
    outcome = BinaryReplacement::kDone;
    at = FindPath(content, from, at + std::max(old.size(), made.size()));
  }
  return outcome;
}

bool IsBinary(std::string_view content) {
  constexpr size_t kLargestText = size_t{64} << 20;
  return content.size() > kLargestText || content.find('\0') != std::string_view::npos;
}

}  // namespace firn
