#include "mountd/mount_table.h"

#include <sys/stat.h>

#include <charconv>
#include <fstream>

#include "format/error.h"
#include "mountd/fuse_mount.h"

namespace firn {
namespace {

bool IsOctal(char c) { return c >= '0' && c <= '7'; }

// The kernel writes space, tab, newline, backslash and '#' as \ooo.
std::string Unescape(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && IsOctal(text[i + 1]) && IsOctal(text[i + 2]) &&
        IsOctal(text[i + 3])) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                 (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

class Fields {
 public:
  explicit Fields(std::string_view line) : line_(line), rest_(line) {}

  std::string_view Next() {
    if (rest_.data() == nullptr) Fail();
    const size_t space = rest_.find(' ');
    const std::string_view field = rest_.substr(0, space);
    rest_ = space == std::string_view::npos ? std::string_view() : rest_.substr(space + 1);
    return field;
  }

  uint64_t NextNumber() {
    const std::string_view field = Next();
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), number);
    if (error != std::errc() || end != field.data() + field.size()) Fail();
    return number;
  }

 private:
  [[noreturn]] void Fail() const {
    throw Error(ErrorKind::kInternal,
                "expected a line of mountinfo, found '" + std::string(line_) + "'");
  }

  std::string_view line_;
  std::string_view rest_;
};

}  // namespace

bool MountEntry::IsFirn() const {
  return type == kFuseType || (type == "overlay" && source.starts_with(kViewSourcePrefix));
}

std::string MountEntry::FirnImage() const {
  return type == kFuseType ? source : source.substr(kViewSourcePrefix.size());
}

MountEntry ParseMountLine(std::string_view line) {
  Fields fields(line);
  MountEntry entry;
  entry.id = fields.NextNumber();
  entry.parent = fields.NextNumber();
  entry.device = fields.Next();
  entry.root = Unescape(fields.Next());
  entry.target = Unescape(fields.Next());
  entry.options = fields.Next();
  while (fields.Next() != "-") {  // optional fields: shared:N, master:N, ...
  }
  entry.type = Unescape(fields.Next());
  entry.source = Unescape(fields.Next());
  entry.super_options = fields.Next();
  return entry;
}

std::vector<MountEntry> ReadMountTable() {
  constexpr char kPath[] = "/proc/self/mountinfo";
  std::ifstream file(kPath);
  if (!file) {
    throw Error(ErrorKind::kSystem, "cannot read the mount table",
                "Firn needs /proc; ask the site to mount it here.")
        .WithPath(kPath);
  }
  std::vector<MountEntry> table;
  for (std::string line; std::getline(file, line);) table.push_back(ParseMountLine(line));
  return table;
}

uint64_t OwnMountNamespace() {
  struct stat status {};
  return stat("/proc/self/ns/mnt", &status) == 0 ? status.st_ino : 0;
}

std::optional<MountEntry> FindMount(const std::vector<MountEntry>& table, std::string_view target) {
  // Of several mounts at one path, the one that nothing is mounted on again is what is seen.
  std::optional<MountEntry> top;
  for (const MountEntry& entry : table) {
    if (entry.target == target && (!top || entry.parent == top->id || entry.id > top->id)) {
      if (top && top->parent == entry.id) continue;
      top = entry;
    }
  }
  return top;
}

}  // namespace firn
