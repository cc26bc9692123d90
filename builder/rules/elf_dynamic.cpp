#include "builder/rules/elf_dynamic.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "builder/rules/path_text.h"
#include "builder/rules/rule_work.h"
#include "format/error.h"
#include "format/file.h"

namespace firn {
namespace {

constexpr size_t kMostHeaders = 4096;
constexpr size_t kMostEntries = 65536;
constexpr size_t kLongestText = 65536;

class ElfFile {
 public:
  explicit ElfFile(const std::string& path)
      : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)) {
    struct stat status;
    if (!fd_.valid() || fstat(fd_.get(), &status) != 0 || !S_ISREG(status.st_mode)) return;
    size_ = static_cast<uint64_t>(status.st_size);
    std::array<Elf64_Ehdr, 1> header;
    if (!Read(0, std::span(header)) || std::memcmp(header[0].e_ident, ELFMAG, SELFMAG) != 0) return;
    is_elf_ = true;
    const bool known =
        header[0].e_ident[EI_CLASS] == ELFCLASS64 && header[0].e_ident[EI_DATA] == ELFDATA2LSB &&
        header[0].e_phentsize == sizeof(Elf64_Phdr) && header[0].e_phnum <= kMostHeaders;
    if (!known) return;
    segments_.resize(header[0].e_phnum);
    if (!Read(header[0].e_phoff, std::span(segments_))) segments_.clear();
  }

  bool is_elf() const { return is_elf_; }
  uint64_t size() const { return size_; }
  const std::vector<Elf64_Phdr>& segments() const { return segments_; }

  template <typename T, size_t N>
  bool Read(uint64_t offset, std::span<T, N> items) const {
    if (offset > size_ || items.size_bytes() > size_ - offset) return false;
    return ReadAt(fd_.get(), offset, std::as_writable_bytes(items)) == items.size_bytes();
  }

  std::optional<uint64_t> OffsetOf(uint64_t address) const {
    for (const Elf64_Phdr& segment : segments_) {
      if (segment.p_type != PT_LOAD || address < segment.p_vaddr) continue;
      if (address - segment.p_vaddr < segment.p_filesz) {
        return segment.p_offset + (address - segment.p_vaddr);
      }
    }
    return std::nullopt;
  }

  std::optional<std::string> Text(uint64_t offset) const {
    std::string text(std::min<uint64_t>(kLongestText, size_ - std::min(size_, offset)), '\0');
    if (!Read(offset, std::span(text))) return std::nullopt;
    const size_t end = text.find('\0');
    if (end == std::string::npos) return std::nullopt;
    text.resize(end);
    return text;
  }

  std::vector<Elf64_Dyn> Dynamic() const {
    for (const Elf64_Phdr& segment : segments_) {
      if (segment.p_type != PT_DYNAMIC) continue;
      std::vector<Elf64_Dyn> entries(
          std::min<uint64_t>(kMostEntries, segment.p_filesz / sizeof(Elf64_Dyn)));
      if (!Read(segment.p_offset, std::span(entries))) return {};
      const auto end = std::find_if(entries.begin(), entries.end(),
                                    [](const Elf64_Dyn& dyn) { return dyn.d_tag == DT_NULL; });
      entries.erase(end, entries.end());
      return entries;
    }
    return {};
  }

 private:
  FileDescriptor fd_;
  uint64_t size_ = 0;
  bool is_elf_ = false;
  std::vector<Elf64_Phdr> segments_;
};

bool NamesText(int64_t tag) {
  return tag == DT_NEEDED || tag == DT_SONAME || tag == DT_RPATH || tag == DT_RUNPATH;
}

}  // namespace

std::optional<ElfDynamic> ReadElfDynamic(const std::string& path) {
  const ElfFile file(path);
  const std::vector<Elf64_Dyn> entries = file.Dynamic();
  const auto table = std::find_if(entries.begin(), entries.end(),
                                  [](const Elf64_Dyn& dyn) { return dyn.d_tag == DT_STRTAB; });
  if (table == entries.end()) return std::nullopt;
  const std::optional<uint64_t> texts = file.OffsetOf(table->d_un.d_ptr);
  if (!texts) return std::nullopt;
  ElfDynamic dynamic;
  for (const Elf64_Dyn& entry : entries) {
    if (!NamesText(entry.d_tag) || entry.d_un.d_val > file.size()) continue;
    const std::optional<std::string> text = file.Text(*texts + entry.d_un.d_val);
    if (!text) return std::nullopt;
    if (entry.d_tag == DT_NEEDED) dynamic.needed.push_back(*text);
    const bool is_run_path =
        entry.d_tag == DT_RUNPATH || (entry.d_tag == DT_RPATH && dynamic.run_path.empty());
    if (!is_run_path) continue;
    dynamic.run_path = *text;
    dynamic.run_path_offset = *texts + entry.d_un.d_val;
  }
  for (const Elf64_Dyn& entry : entries) {
    if (!NamesText(entry.d_tag)) continue;
    const uint64_t at = *texts + entry.d_un.d_val;
    dynamic.shared_text |=
        at > dynamic.run_path_offset && at < dynamic.run_path_offset + dynamic.run_path.size();
  }
  return dynamic;
}

bool HasSoundSegments(const std::string& path) {
  const ElfFile file(path);
  if (file.segments().empty()) return false;
  return std::all_of(file.segments().begin(), file.segments().end(), [&](const Elf64_Phdr& part) {
    const bool inside =
        part.p_offset <= file.size() && part.p_filesz <= file.size() - part.p_offset;
    const bool aligned = part.p_type != PT_LOAD || part.p_align < 2 ||
                         part.p_offset % part.p_align == part.p_vaddr % part.p_align;
    return inside && aligned;
  });
}

bool IsElf(const std::string& path) { return ElfFile(path).is_elf(); }

std::optional<std::string> RelativeRunPath(std::string_view run_path, std::string_view from,
                                           const std::string& own) {
  std::string result;
  bool changed = false;
  while (true) {
    const size_t end = std::min(run_path.find(':'), run_path.size());
    const std::string entry = NormalPath(run_path.substr(0, end));
    if (!result.empty()) result += ':';
    if (entry == from || entry.starts_with(std::string(from) + "/")) {
      const std::string below = entry.substr(std::min(entry.size(), from.size() + 1));
      const std::string relative = RelativePath(own, below);
      result += relative.empty() || relative == "." ? "$ORIGIN" : "$ORIGIN/" + relative;
      changed = true;
    } else {
      result += run_path.substr(0, end);
    }
    if (end == run_path.size()) break;
    run_path.remove_prefix(end + 1);
  }
  if (!changed) return std::nullopt;
  while (result.size() > 1 && result.ends_with('/')) result.pop_back();
  return result;
}

}  // namespace firn
