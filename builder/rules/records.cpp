#include "builder/rules/records.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "format/digest.h"

namespace firn {
namespace {

std::string Base64Url(const Digest& digest) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string text;
  uint32_t bits = 0;
  int count = 0;
  for (const std::byte byte : digest.bytes) {
    bits = bits << 8 | std::to_integer<uint32_t>(byte);
    for (count += 8; count >= 6; count -= 6) text += kDigits[bits >> (count - 6) & 63];
  }
  if (count > 0) text += kDigits[bits << (6 - count) & 63];
  return text;
}

// The first field of a line of CSV, without its quotes.
std::string FirstField(std::string_view line) {
  if (!line.starts_with('"')) return std::string(line.substr(0, line.find(',')));
  std::string field;
  for (size_t i = 1; i < line.size(); ++i) {
    if (line[i] != '"') {
      field += line[i];
    } else if (i + 1 < line.size() && line[i + 1] == '"') {
      field += line[i++];
    } else {
      break;
    }
  }
  return field;
}

std::string AsField(const std::string& path) {
  if (path.find_first_of(",\"\r\n") == std::string::npos) return path;
  std::string field = "\"";
  for (const char c : path) field += c == '"' ? std::string("\"\"") : std::string(1, c);
  return field + "\"";
}

bool IsGone(const RuleWork& work, std::string path) {
  while (!path.empty()) {
    if (work.removed().contains(path)) return true;
    path = ParentOf(path);
  }
  return false;
}

// A line of RECORD as it is to be, without its end; empty for none.
std::string CorrectLine(const RuleWork& work, const std::string& site, const std::string& line) {
  const std::string name = FirstField(line);
  // Relative to the directory that the package is in, or absolute.
  std::string path = name;
  if (path.starts_with(work.prefix() + "/")) {
    path = path.substr(work.prefix().size() + 1);
  } else if (!path.starts_with('/')) {
    path = NormalPath(site + "/" + path);
  }
  if (IsGone(work, path)) return {};
  if (!work.changed().contains(path) || NameOf(path) == "RECORD") return line;
  const std::optional<std::string> content = work.Read(path);
  if (!content) return line;
  return AsField(name) + ",sha256=" + Base64Url(Sha256Of(std::as_bytes(std::span(*content)))) +
         "," + std::to_string(content->size());
}

}  // namespace

void CorrectRecords(RuleWork& work) {
  const std::vector<TreeEntry> records = work.Files([](const TreeEntry& file) {
    return NameOf(file.path) == "RECORD" && ParentOf(file.path).ends_with(".dist-info");
  });
  for (const TreeEntry& record : records) {
    const std::optional<std::string> content = work.Read(record.path);
    if (!content) continue;
    const std::string site = ParentOf(ParentOf(record.path));
    std::string made;
    for (size_t at = 0; at < content->size();) {
      const size_t end = std::min(content->find('\n', at), content->size());
      std::string line = content->substr(at, end - at);
      at = end + 1;
      const bool carriage_return = line.ends_with('\r');
      if (carriage_return) line.pop_back();
      line = CorrectLine(work, site, line);
      if (!line.empty()) made += line + (carriage_return ? "\r\n" : "\n");
    }
    if (made != *content) work.Write(record.path, made);
  }
}

}  // namespace firn
