#ifndef FIRN_BUILDER_INSPECT_ELF_FILE_H_
#define FIRN_BUILDER_INSPECT_ELF_FILE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace firn {

// What the dynamic loader would look at in an ELF file.
struct ElfFile {
  // The highest version of one kind that is asked of a library, or one that has no number.
  struct VersionNeed {
    std::string library;  // "libc.so.6"
    std::string version;  // "GLIBC_2.34"
  };

  std::string machine;  // "x86_64", "aarch64", …, "machine 190"; 32-bit ones differ from 64-bit
  bool executable = false;  // has an interpreter
  std::string interpreter;
  std::string soname;
  std::vector<std::string> needed;
  std::vector<std::string> rpath;    // directories, as written; ignored where there is a runpath
  std::vector<std::string> runpath;  // the same
  std::vector<VersionNeed> versions_needed;  // all of them but weak ones
  std::vector<std::string> versions_defined;
  int x86_64_level = 0;  // that it says it needs: 1 to 4; 0: it does not say
};

// Reads an open file. nullopt for what is no ELF file, and for one that is not to be loaded, such
// as an object file. Throws kInput, without a path, for a damaged or truncated one. Reads by its
// program headers, as the loader does; of a file of the other byte order only the machine.
// Thread-safe.
std::optional<ElfFile> ReadElf(int fd);

// "x86_64" and so on of the machine that we run on.
std::string HostMachine();

}  // namespace firn

#endif  // FIRN_BUILDER_INSPECT_ELF_FILE_H_
