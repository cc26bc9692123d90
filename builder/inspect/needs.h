#ifndef FIRN_BUILDER_INSPECT_NEEDS_H_
#define FIRN_BUILDER_INSPECT_NEEDS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace firn {

// Who needs something: the first few paths below the prefix, and how many there are.
struct NeededBy {
  static constexpr size_t kNamed = 5;

  std::vector<std::string> paths;
  uint64_t files = 0;

  void Add(const std::string& path);
};

// What some files need of the machine that they run on.
struct HostNeeds {
  struct Version {
    std::string version;    // "2.34"
    std::string needed_by;  // a file that asks for it
  };
  struct HostLibrary {
    std::string name;                         // "libc.so.6"
    std::map<std::string, Version> versions;  // the highest, by kind: "GLIBC", "GLIBCXX", …
    NeededBy needed_by;
  };
  struct Interpreter {
    std::string path;  // as the programs name it
    bool in_image = false;
    NeededBy needed_by;
  };

  int x86_64_level = 0;  // the highest that a file says it needs; 0: none says
  std::string x86_64_level_needed_by;
  std::vector<Interpreter> interpreters;    // by path
  std::vector<HostLibrary> host_libraries;  // by name
};

// What all programs and libraries of an environment need, and what it does not even start without.
struct Needs : HostNeeds {
  struct ImageLibrary {
    std::string name;
    std::string path;  // below the prefix, of the file
    // Of those that no search path of the needing file leads to: found where something else has
    // loaded it before, or LD_LIBRARY_PATH names its directory.
    NeededBy needed_by;
  };

  uint64_t files = 0;        // ELF files that are programs or libraries
  std::string architecture;  // of most of them; empty where there are none
  std::map<std::string, uint64_t> other_architectures;  // number of files, which need nothing here
  std::vector<ImageLibrary> unsearched;                 // by name
  std::vector<std::string> image_libraries;             // names that the image satisfies, sorted
  NeededBy damaged;                                     // ELF files that cannot be read
  // Python, where bin/ has one; else the programs of bin/; sorted.
  std::vector<std::string> main_programs;
  // Theirs, with the libraries of the image that the loader loads for them. Other files may be
  // modules and plugins that nobody ever loads.
  HostNeeds required;

  // The highest version of a kind that is asked of any library of the host.
  Version Highest(const std::string& kind) const;

  std::string ToJson() const;  // of section `needs`
  // Throws kDamaged. Keys that are unknown are ignored.
  static Needs FromJson(std::string_view json);
};

// "2.9" before "2.10"; parts that are no numbers as text.
bool VersionLess(std::string_view a, std::string_view b);

// "GLIBCXX_3.4.30" is kind "GLIBCXX", version "3.4.30"; a name without number is a kind without
// version.
std::pair<std::string, std::string> SplitSymbolVersion(const std::string& name);

// Reads every ELF file of the tree at `tree`, which is to be seen at `prefix`, on `jobs` threads.
// `poll` is called by the calling thread and by the others, and may throw.
Needs FindNeeds(const std::string& tree, const std::string& prefix, unsigned jobs,
                const std::function<void()>& poll);

}  // namespace firn

#endif  // FIRN_BUILDER_INSPECT_NEEDS_H_
