#include "builder/inspect/elf_file.h"

#include <elf.h>
#include <gelf.h>
#include <libelf.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <utility>

#include "format/error.h"
#include "format/file.h"
#include "format/types.h"

namespace firn {
namespace {

constexpr uint64_t kMaxString = 4096;
constexpr uint64_t kMaxDynamicLength = 1 << 20;
constexpr uint64_t kMaxNotesLength = 1 << 20;
// Of version records, which are chained: a loop must end.
constexpr uint64_t kMaxVersions = 1 << 16;
constexpr uint16_t kMachineLoongArch = 258;  // EM_LOONGARCH; older headers lack it

Error BadElf(const std::string& what) {
  return {ErrorKind::kInput, "is a damaged ELF file: " + what};
}

std::string MachineName(const GElf_Ehdr& header) {
  const bool wide = header.e_ident[EI_CLASS] == ELFCLASS64;
  const bool little = header.e_ident[EI_DATA] == ELFDATA2LSB;
  switch (header.e_machine) {
    case EM_X86_64:
      return wide ? "x86_64" : "x32";
    case EM_386:
      return "i386";
    case EM_AARCH64:
      return little ? "aarch64" : "aarch64_be";
    case EM_ARM:
      return "arm";
    case EM_PPC64:
      return little ? "ppc64le" : "ppc64";
    case EM_S390:
      return wide ? "s390x" : "s390";
    case EM_RISCV:
      return wide ? "riscv64" : "riscv32";
    case kMachineLoongArch:
      return wide ? "loongarch64" : "loongarch32";
    default:
      return "machine " + std::to_string(header.e_machine);
  }
}

std::vector<std::string> SplitPath(std::string_view path) {
  std::vector<std::string> directories;
  while (!path.empty()) {
    const size_t end = std::min(path.find(':'), path.size());
    if (end > 0) directories.emplace_back(path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return directories;
}

// Reads one file. Bytes are asked of libelf, which checks that they lie in the file, or are read
// with bounds of our own.
class ElfReader {
 public:
  ElfReader(int fd, Elf* elf) : fd_(fd), elf_(elf), file_length_(FileSize(fd)) {
    if (gelf_getehdr(elf_, &header_) == nullptr) throw BadElf("its header cannot be read");
  }

  std::optional<ElfFile> Read() {
    if (header_.e_type != ET_EXEC && header_.e_type != ET_DYN) return std::nullopt;
    file_.machine = MachineName(header_);
    constexpr int kNative =
        std::endian::native == std::endian::little ? int{ELFDATA2LSB} : int{ELFDATA2MSB};
    if (header_.e_ident[EI_DATA] != kNative) return std::move(file_);
    size_t count = 0;
    if (elf_getphdrnum(elf_, &count) != 0) throw BadElf("its program headers cannot be read");
    for (size_t i = 0; i < count; ++i) {
      GElf_Phdr segment;
      if (gelf_getphdr(elf_, static_cast<int>(i), &segment) == nullptr) {
        throw BadElf("program header " + std::to_string(i) + " lies outside of the file");
      }
      segments_.push_back(segment);
    }
    if (HoldsDebugInformationOnly()) return std::nullopt;
    for (const GElf_Phdr& segment : segments_) TakeSegment(segment);
    return std::move(file_);
  }

 private:
  // Its headers are those of the file that it was split from, whose bytes it lacks.
  bool HoldsDebugInformationOnly() const {
    for (Elf_Scn* section = elf_nextscn(elf_, nullptr); section != nullptr;
         section = elf_nextscn(elf_, section)) {
      GElf_Shdr header;
      if (gelf_getshdr(section, &header) == nullptr) continue;
      if (header.sh_type != SHT_NOBITS || header.sh_addr == 0) continue;
      for (const GElf_Phdr& segment : segments_) {
        if (segment.p_type == PT_DYNAMIC && segment.p_vaddr == header.sh_addr) return true;
      }
    }
    return false;
  }

  void TakeSegment(const GElf_Phdr& segment) {
    if (segment.p_type == PT_LOAD && !FitsIn(segment.p_offset, segment.p_filesz, file_length_)) {
      throw BadElf("expected a segment up to byte " +
                   std::to_string(segment.p_offset + segment.p_filesz) + ", found " +
                   std::to_string(file_length_) + " bytes");
    } else if (segment.p_type == PT_INTERP) {
      file_.interpreter = StringAt(segment.p_offset, segment.p_filesz);
      file_.executable = true;
    } else if (segment.p_type == PT_DYNAMIC) {
      TakeDynamic(segment);
    } else if (segment.p_type == PT_NOTE || segment.p_type == PT_GNU_PROPERTY) {
      TakeNotes(segment);
    }
  }

  Elf_Data* Chunk(uint64_t offset, uint64_t length, Elf_Type type, const char* what) const {
    Elf_Data* data = nullptr;
    if (FitsIn(offset, length, file_length_)) {
      data = elf_getdata_rawchunk(elf_, static_cast<int64_t>(offset), length, type);
    }
    if (data == nullptr) throw BadElf(std::string(what) + " lies outside of the file");
    return data;
  }

  // Up to a NUL, at most `limit` bytes.
  std::string StringAt(uint64_t offset, uint64_t limit) const {
    if (offset > file_length_) throw BadElf("a string lies outside of the file");
    std::string text(std::min({limit, kMaxString, file_length_ - offset}), '\0');
    text.resize(ReadAt(fd_, offset, std::as_writable_bytes(std::span(text))));
    text.resize(std::min(text.find('\0'), text.size()));
    return text;
  }

  // Where a loaded address stands in the file.
  uint64_t OffsetOf(uint64_t address) const {
    for (const GElf_Phdr& segment : segments_) {
      if (segment.p_type == PT_LOAD && address >= segment.p_vaddr &&
          address - segment.p_vaddr < segment.p_filesz) {
        return segment.p_offset + (address - segment.p_vaddr);
      }
    }
    throw BadElf("address " + std::to_string(address) + " is in no segment");
  }

  void TakeDynamic(const GElf_Phdr& segment) {
    if (segment.p_filesz == 0) return;
    const uint64_t length = std::min<uint64_t>(segment.p_filesz, kMaxDynamicLength);
    Elf_Data* data = Chunk(segment.p_offset, length, ELF_T_DYN, "the dynamic section");
    uint64_t needs = 0, definitions = 0;
    std::vector<GElf_Dyn> names;
    for (int i = 0;; ++i) {
      GElf_Dyn entry;
      if (gelf_getdyn(data, i, &entry) == nullptr || entry.d_tag == DT_NULL) break;
      if (entry.d_tag == DT_STRTAB) strings_ = OffsetOf(entry.d_un.d_ptr);
      if (entry.d_tag == DT_STRSZ) strings_length_ = entry.d_un.d_val;
      if (entry.d_tag == DT_VERNEED) needs = entry.d_un.d_ptr;
      if (entry.d_tag == DT_VERDEF) definitions = entry.d_un.d_ptr;
      if (entry.d_tag == DT_NEEDED || entry.d_tag == DT_SONAME || entry.d_tag == DT_RPATH ||
          entry.d_tag == DT_RUNPATH) {
        names.push_back(entry);
      }
    }
    for (const GElf_Dyn& entry : names) TakeName(entry);
    if (needs != 0) TakeVersionNeeds(OffsetOf(needs));
    if (definitions != 0) TakeVersionDefinitions(OffsetOf(definitions));
  }

  std::string Name(uint64_t index) const {
    if (index >= strings_length_) throw BadElf("a name lies outside of its string table");
    return StringAt(strings_ + index, strings_length_ - index);
  }

  void TakeName(const GElf_Dyn& entry) {
    const std::string name = Name(entry.d_un.d_val);
    if (entry.d_tag == DT_NEEDED) file_.needed.push_back(name);
    if (entry.d_tag == DT_SONAME) file_.soname = name;
    if (entry.d_tag == DT_RPATH) file_.rpath = SplitPath(name);
    if (entry.d_tag == DT_RUNPATH) file_.runpath = SplitPath(name);
  }

  // A record of the file's own byte order; those of versions are alike in both classes.
  template <typename Record>
  Record RecordAt(uint64_t offset) const {
    Record record;
    if (!FitsIn(offset, sizeof record, file_length_) ||
        ReadAt(fd_, offset, std::as_writable_bytes(std::span(&record, 1))) != sizeof record) {
      throw BadElf("a symbol version lies outside of the file");
    }
    return record;
  }

  void TakeVersionNeeds(uint64_t offset) {
    for (uint64_t left = kMaxVersions; left > 0;) {
      const auto need = RecordAt<Elf64_Verneed>(offset);
      const std::string library = Name(need.vn_file);
      uint64_t at = offset + need.vn_aux;
      for (int i = 0; i < need.vn_cnt && left > 0; ++i, --left) {
        const auto version = RecordAt<Elf64_Vernaux>(at);
        if ((version.vna_flags & VER_FLG_WEAK) == 0) {
          file_.versions_needed.push_back({library, Name(version.vna_name)});
        }
        if (version.vna_next == 0) break;
        at += version.vna_next;
      }
      if (need.vn_next == 0 || left == 0) return;
      offset += need.vn_next;
      --left;
    }
  }

  void TakeVersionDefinitions(uint64_t offset) {
    for (uint64_t left = kMaxVersions; left > 0; --left) {
      const auto definition = RecordAt<Elf64_Verdef>(offset);
      if (definition.vd_cnt > 0 && (definition.vd_flags & VER_FLG_BASE) == 0) {
        const auto version = RecordAt<Elf64_Verdaux>(offset + definition.vd_aux);
        file_.versions_defined.push_back(Name(version.vda_name));
      }
      if (definition.vd_next == 0) return;
      offset += definition.vd_next;
    }
  }

  void TakeNotes(const GElf_Phdr& segment) {
    if (header_.e_machine != EM_X86_64 && header_.e_machine != EM_386) return;
    const uint64_t length = std::min<uint64_t>(segment.p_filesz, kMaxNotesLength);
    if (length == 0) return;
    Elf_Data* data =
        Chunk(segment.p_offset, length, segment.p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR, "a note");
    size_t offset = 0, name = 0, content = 0;
    GElf_Nhdr note;
    while ((offset = gelf_getnote(data, offset, &note, &name, &content)) > 0) {
      const auto* bytes = static_cast<const char*>(data->d_buf);
      const bool gnu = note.n_namesz == sizeof ELF_NOTE_GNU &&
                       std::memcmp(bytes + name, ELF_NOTE_GNU, sizeof ELF_NOTE_GNU) == 0;
      if (gnu && note.n_type == NT_GNU_PROPERTY_TYPE_0) {
        TakeProperties({bytes + content, note.n_descsz});
      }
    }
  }

  void TakeProperties(std::string_view properties) {
    const size_t alignment = header_.e_ident[EI_CLASS] == ELFCLASS64 ? 8 : 4;
    while (properties.size() >= 8) {
      uint32_t type = 0, length = 0;
      std::memcpy(&type, properties.data(), 4);
      std::memcpy(&length, properties.data() + 4, 4);
      if (length > properties.size() - 8) return;
      if (type == GNU_PROPERTY_X86_ISA_1_NEEDED && length >= 4) {
        uint32_t levels = 0;
        std::memcpy(&levels, properties.data() + 8, 4);
        file_.x86_64_level = static_cast<int>(std::bit_width(levels & 0xFu));
      }
      const size_t padded = (8 + size_t{length} + alignment - 1) / alignment * alignment;
      properties.remove_prefix(std::min(padded, properties.size()));
    }
  }

  int fd_;
  Elf* elf_;
  uint64_t file_length_;
  GElf_Ehdr header_{};
  std::vector<GElf_Phdr> segments_;
  uint64_t strings_ = 0;
  uint64_t strings_length_ = 0;
  ElfFile file_;
};

}  // namespace

std::optional<ElfFile> ReadElf(int fd) {
  static std::once_flag once;
  std::call_once(once, [] { elf_version(EV_CURRENT); });
  char magic[SELFMAG] = {};
  if (ReadAt(fd, 0, std::as_writable_bytes(std::span(magic))) != SELFMAG ||
      std::memcmp(magic, ELFMAG, SELFMAG) != 0) {
    return std::nullopt;
  }
  // Read, not mapped: a file that is cut while we look must be an error, no signal.
  const std::unique_ptr<Elf, int (*)(Elf*)> elf(elf_begin(fd, ELF_C_READ, nullptr), elf_end);
  if (!elf || elf_kind(elf.get()) != ELF_K_ELF) throw BadElf("its header cannot be read");
  return ElfReader(fd, elf.get()).Read();
}

std::string HostMachine() {
  const FileDescriptor self = OpenFile("/proc/self/exe", 0, ErrorKind::kInternal);
  const std::optional<ElfFile> file = ReadElf(self.get());
  return file ? file->machine : std::string();
}

}  // namespace firn
