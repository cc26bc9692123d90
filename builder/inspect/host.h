#ifndef FIRN_BUILDER_INSPECT_HOST_H_
#define FIRN_BUILDER_INSPECT_HOST_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "builder/inspect/needs.h"

namespace firn {

// A machine, as far as images need anything of it.
struct Host {
  struct Library {
    std::string path;
    std::vector<std::string> versions;  // of symbols that it defines
  };

  std::string architecture;  // "x86_64", as Needs has it
  std::string glibc;         // "2.36"; empty: another C library
  int x86_64_level = 0;      // 1 to 4; 0: no x86-64
  // What a program would get that asks for a library by this name.
  std::function<std::optional<Library>(const std::string& name)> find_library;
  std::function<bool(const std::string& path)> can_execute;
};

// The one that we run on: what LD_LIBRARY_PATH, the loader's cache and its own directories lead
// to. Nothing is loaded.
Host ThisHost();

// Something that an image needs and a machine lacks.
struct MissingNeed {
  std::string kind;     // "architecture", "cpu", "interpreter", "library", "version"
  std::string name;     // "libfoo.so.1", "GLIBC_2.38", "x86-64-v3", …
  std::string message;  // what was expected, and what was found
  std::string remedy;   // may be empty
  NeededBy needed_by;
  // The image does not start without it. Else only some of its files need it, which its programs
  // may never load.
  bool is_required = false;
};

// What is required first; in the order of the kinds, then by name.
std::vector<MissingNeed> FindMissing(const Needs& needs, const Host& host);

}  // namespace firn

#endif  // FIRN_BUILDER_INSPECT_HOST_H_
