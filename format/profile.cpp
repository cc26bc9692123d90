#include "format/profile.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "format/error.h"
#include "format/file.h"

namespace firn {
namespace {

constexpr std::string_view kFirstLine = "firn-profile 1";
constexpr std::string_view kFormatName = "firn-profile ";

constexpr std::array<std::pair<std::string_view, ProfileAction>, 4> kActions = {{
    {"lookup", ProfileAction::kLookup},
    {"miss", ProfileAction::kMiss},
    {"list", ProfileAction::kList},
    {"read", ProfileAction::kRead},
}};

std::string_view NameOfAction(ProfileAction action) {
  for (const auto& [name, value] : kActions) {
    if (value == action) return name;
  }
  return {};
}

bool StandsForItself(char c) { return c > ' ' && c < 0x7f && c != '%'; }

std::string EscapePath(std::string_view path) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string text;
  for (const char c : path) {
    if (StandsForItself(c)) {
      text += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    text += '%';
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::optional<std::string> UnescapePath(std::string_view text) {
  std::string path;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      if (!StandsForItself(text[at])) return std::nullopt;
      path += text[at];
      continue;
    }
    unsigned char byte = 0;
    if (text.size() - at < 3) return std::nullopt;
    const char* const end = text.data() + at + 3;
    if (std::from_chars(text.data() + at + 1, end, byte, 16).ptr != end) return std::nullopt;
    path += static_cast<char>(byte);
    at += 2;
  }
  return path;
}

// Is it "." or a path of names that a directory can have?
bool StaysInside(std::string_view path) {
  if (path == ".") return true;
  while (true) {
    const size_t slash = path.find('/');
    const std::string_view name = path.substr(0, slash);
    if (name.empty() || name == "." || name == ".." || name.find('\0') != name.npos) return false;
    if (slash == path.npos) return true;
    path.remove_prefix(slash + 1);
  }
}

std::vector<std::string_view> SplitWords(std::string_view line) {
  std::vector<std::string_view> words;
  while (words.size() < 5) {
    const size_t blank = line.find(' ');
    words.push_back(line.substr(0, blank));
    if (blank == line.npos) break;
    line.remove_prefix(blank + 1);
  }
  return words;
}

std::optional<uint64_t> ParseNumber(std::string_view digits) {
  uint64_t number = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

// What is wrong with the line, or the entry that it holds.
std::string ParseLine(std::string_view line, ProfileEntry& entry) {
  const std::vector<std::string_view> words = SplitWords(line);
  const auto action = std::find_if(kActions.begin(), kActions.end(),
                                   [&](const auto& known) { return known.first == words[0]; });
  if (action == kActions.end()) {
    return "expected lookup, miss, list or read, found another word";
  }
  entry = ProfileEntry();
  entry.action = action->second;
  const size_t expected = entry.action == ProfileAction::kRead ? 4 : 2;
  if (words.size() != expected) {
    return "expected " + std::to_string(expected) + " words, found " +
           (words.size() > 4 ? "more than 4" : std::to_string(words.size()));
  }
  std::optional<std::string> path = UnescapePath(words[1]);
  if (!path) return "expected a path of printable letters and %XX, found another";
  if (!StaysInside(*path)) return "expected a path below the image's root, found one outside";
  entry.path = *std::move(path);
  if (entry.action != ProfileAction::kRead) return {};
  const std::optional<uint64_t> offset = ParseNumber(words[2]);
  const std::optional<uint64_t> length = ParseNumber(words[3]);
  // Offsets of files end at 2^63 - 1.
  if (!offset || !length || *length == 0 || *offset > INT64_MAX || *length > INT64_MAX - *offset) {
    return "expected an offset and a length, found other words";
  }
  entry.offset = *offset;
  entry.length = *length;
  return {};
}

Error LineError(const std::string& name, uint64_t line, const std::string& what) {
  return Error(ErrorKind::kInput, "line " + std::to_string(line) + ": " + what,
               "Record it again with 'firn profile'.")
      .WithPath(name);
}

Error TooLong(const std::string& name) {
  return Error(ErrorKind::kInput,
               "expected a profile of at most " + std::to_string(kMaxProfileLength >> 20) +
                   " MiB, found a longer file",
               "Record it again with 'firn profile', or merge fewer profiles.")
      .WithPath(name);
}

// The parts of files that were read so far, and paths that were looked up or listed.
class Done {
 public:
  // True where `entry` does nothing new.
  bool Covers(const ProfileEntry& entry) {
    if (entry.action != ProfileAction::kRead) {
      return !others_.emplace(entry.action, entry.path).second;
    }
    auto& ranges = reads_[entry.path];  // start -> end, apart from each other
    uint64_t start = entry.offset;
    uint64_t end = entry.offset + entry.length;
    auto next = ranges.upper_bound(start);
    if (next != ranges.begin()) {
      const auto before = std::prev(next);
      if (before->second >= end) return true;
      if (before->second >= start) {
        start = before->first;
        next = before;
      }
    }
    while (next != ranges.end() && next->first <= end) {
      end = std::max(end, next->second);
      next = ranges.erase(next);
    }
    ranges.emplace(start, end);
    return false;
  }

 private:
  std::set<std::pair<ProfileAction, std::string>> others_;
  std::map<std::string, std::map<uint64_t, uint64_t>> reads_;
};

}  // namespace

Profile Profile::Parse(std::string_view text, const std::string& name) {
  if (text.size() > kMaxProfileLength) throw TooLong(name);
  std::vector<ProfileEntry> entries;
  for (uint64_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    if (end == text.npos) throw LineError(name, number, "expected a line feed at its end");
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (number == 1) {
      if (line == kFirstLine) continue;
      const bool other = line.starts_with(kFormatName) && line.size() < 40;
      throw LineError(name, number,
                      "expected '" + std::string(kFirstLine) + "', found " +
                          (other ? "another version of the format" : "another kind of file"));
    }
    if (line.empty() || line.front() == '#') continue;
    ProfileEntry entry;
    if (const std::string wrong = ParseLine(line, entry); !wrong.empty()) {
      throw LineError(name, number, wrong);
    }
    entries.push_back(std::move(entry));
  }
  if (entries.empty()) {
    throw Error(ErrorKind::kInput, "expected a profile, found an empty one",
                "Record it again with 'firn profile'.")
        .WithPath(name);
  }
  return Profile(std::move(entries));
}

Profile Profile::ReadFile(const std::string& path) {
  const FileDescriptor file = OpenFile(path, O_RDONLY, ErrorKind::kInput);
  std::string text;
  std::array<char, 65536> piece;
  while (true) {
    const ssize_t got = read(file.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw SystemError(ErrorKind::kInput, errno, "cannot read").WithPath(path);
    if (got == 0) return Parse(text, path);
    text.append(piece.data(), static_cast<size_t>(got));
    if (text.size() > kMaxProfileLength) throw TooLong(path);
  }
}

std::string Profile::ToText() const {
  std::string text(kFirstLine);
  text += '\n';
  for (const ProfileEntry& entry : entries_) {
    text += NameOfAction(entry.action);
    text += ' ' + EscapePath(entry.path);
    if (entry.action == ProfileAction::kRead) {
      text += ' ' + std::to_string(entry.offset) + ' ' + std::to_string(entry.length);
    }
    text += '\n';
  }
  return text;
}

Profile Profile::Merge(std::span<const Profile> profiles) {
  Done done;
  std::vector<ProfileEntry> merged;
  for (const Profile& profile : profiles) {
    for (const ProfileEntry& entry : profile.entries()) {
      if (!done.Covers(entry)) merged.push_back(entry);
    }
  }
  return Profile(std::move(merged));
}

}  // namespace firn
