#ifndef FIRN_BUILDER_RULES_ELF_DYNAMIC_H_
#define FIRN_BUILDER_RULES_ELF_DYNAMIC_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace firn {

// What the loader is told by a 64-bit little-endian ELF file.
struct ElfDynamic {
  std::vector<std::string> needed;
  std::string run_path;          // DT_RUNPATH, else DT_RPATH; empty for none
  uint64_t run_path_offset = 0;  // of that text in the file
  bool shared_text = false;      // another entry of the dynamic section lies in the same bytes
};

// nullopt for what is no such file, or is cut short or damaged where this is read. `path`:
// absolute.
std::optional<ElfDynamic> ReadElfDynamic(const std::string& path);

// Whether what a changed ELF file tells the kernel still holds: segments lie in the file, and as
// they are to be aligned.
bool HasSoundSegments(const std::string& path);

// Does the file begin as every ELF file does?
bool IsElf(const std::string& path);

// The run path with the entries at or below the directory `from` made relative to the file, which
// lies in the directory `own` below the tree, as "$ORIGIN/../lib"; `from` is what the tree is now.
// nullopt where there are none.
std::optional<std::string> RelativeRunPath(std::string_view run_path, std::string_view from,
                                           const std::string& own);

}  // namespace firn

#endif  // FIRN_BUILDER_RULES_ELF_DYNAMIC_H_
