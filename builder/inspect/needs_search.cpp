#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "builder/inspect/elf_file.h"
#include "builder/inspect/needs.h"
#include "builder/inspect/tree_file.h"
#include "builder/tree_path.h"
#include "format/error.h"
#include "format/file.h"
#include "format/parallel.h"

namespace firn {
namespace {

// Nothing shorter has a header and a segment.
constexpr uintmax_t kSmallestElf = 52 + 32;

struct ReadFile {
  std::string path;  // below the tree
  std::optional<ElfFile> elf;
  bool damaged = false;
};

// Paths of regular files that may be ELF files, and of symlinks that a loader may look for.
struct Candidates {
  std::vector<ReadFile> files;
  std::vector<std::string> links;
};

Candidates Collect(const std::string& tree, const std::function<void()>& poll) {
  Candidates candidates;
  std::error_code error;
  std::filesystem::recursive_directory_iterator entry(
      tree, std::filesystem::directory_options::skip_permission_denied, error);
  for (; !error && entry != std::filesystem::recursive_directory_iterator();
       entry.increment(error)) {
    poll();
    std::error_code gone;
    const std::filesystem::file_status status = entry->symlink_status(gone);
    std::string path = entry->path().string().substr(tree.size() + 1);
    if (std::filesystem::is_symlink(status)) {
      if (path.find(".so") != std::string::npos) candidates.links.push_back(std::move(path));
    } else if (std::filesystem::is_regular_file(status)) {
      if (entry->file_size(gone) >= kSmallestElf && !gone) {
        candidates.files.push_back({.path = std::move(path), .elf = {}});
      }
    }
  }
  if (error) {
    throw SystemError(ErrorKind::kInput, error.value(), "cannot list every directory of the tree")
        .WithPath(tree);
  }
  std::ranges::sort(candidates.files, {}, &ReadFile::path);
  std::ranges::sort(candidates.links);
  return candidates;
}

void Read(const std::string& tree, ReadFile& file) {
  const std::string path = tree + "/" + file.path;
  const FileDescriptor fd(
      open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid()) return;  // the writer of the image will say so
  try {
    file.elf = ReadElf(fd.get());
  } catch (const Error&) {
    file.damaged = true;
  }
}

// What is found of the host's needs, in the order of the names.
class HostNeedsList {
 public:
  void AddLevel(const std::string& path, const ElfFile& file) {
    if (file.x86_64_level <= needs_.x86_64_level) return;
    if (path.find("glibc-hwcaps/") != std::string::npos) return;  // chosen by what there is
    needs_.x86_64_level = file.x86_64_level;
    needs_.x86_64_level_needed_by = path;
  }

  void AddInterpreter(const std::string& path, const std::string& interpreter, bool in_image) {
    HostNeeds::Interpreter& entry = interpreters_[interpreter];
    entry.path = interpreter;
    entry.in_image = in_image;
    entry.needed_by.Add(path);
  }

  void AddLibrary(const std::string& path, const ElfFile& file, const std::string& name) {
    HostNeeds::HostLibrary& library = libraries_[name];
    library.name = name;
    library.needed_by.Add(path);
    for (const ElfFile::VersionNeed& need : file.versions_needed) {
      if (need.library != name) continue;
      const auto [kind, number] = SplitSymbolVersion(need.version);
      const auto [known, is_new] = library.versions.try_emplace(kind);
      if (is_new || VersionLess(known->second.version, number)) known->second = {number, path};
    }
  }

  HostNeeds Take() {
    for (auto& [name, library] : libraries_) needs_.host_libraries.push_back(std::move(library));
    for (auto& [name, entry] : interpreters_) needs_.interpreters.push_back(std::move(entry));
    return std::move(needs_);
  }

 private:
  std::map<std::string, HostNeeds::HostLibrary> libraries_;
  std::map<std::string, HostNeeds::Interpreter> interpreters_;
  HostNeeds needs_;
};

bool IsPythonName(const std::string& name) {
  return name.starts_with("python") &&
         name.find_first_not_of("0123456789.", 6) == std::string::npos;
}

// Does what the dynamic loader does, for every file of the tree at once.
class NeedsSearch {
 public:
  NeedsSearch(std::string tree, std::string prefix, const Candidates& candidates)
      : tree_(std::move(tree)), prefix_(std::move(prefix)) {
    std::map<std::string, uint64_t> machines;
    for (const ReadFile& file : candidates.files) {
      if (file.damaged) needs_.damaged.Add(file.path);
      if (!file.elf) continue;
      files_.emplace(file.path, &*file.elf);
      ++machines[file.elf->machine];
    }
    needs_.files = files_.size();
    const auto most = std::ranges::max_element(
        machines, {}, &std::map<std::string, uint64_t>::value_type::second);
    if (most != machines.end()) {
      needs_.architecture = most->first;
      machines.erase(most);
    }
    needs_.other_architectures = std::move(machines);
    for (const auto& [path, file] : files_) {
      if (!IsOurs(*file)) continue;
      by_name_.emplace(NameOf(path), path);
      if (!file->executable) continue;
      // An RPATH of a program, unlike a RUNPATH, holds for every library that it loads.
      if (file->runpath.empty()) AddProgramPaths(path, *file);
    }
    for (const std::string& link : candidates.links) {
      const std::string real = RealPath(link);
      if (IsLibrary(real)) by_name_.emplace(NameOf(link), real);
    }
  }

  Needs Search(const std::function<void()>& poll) {
    for (const auto& [path, file] : files_) {
      if (!IsOurs(*file)) continue;
      poll();
      TakeFile(path, *file, all_);
    }
    for (auto& [name, library] : unsearched_) needs_.unsearched.push_back(std::move(library));
    needs_.image_libraries.assign(in_image_.begin(), in_image_.end());
    static_cast<HostNeeds&>(needs_) = all_.Take();
    needs_.main_programs = MainPrograms();
    needs_.required = RequiredBy(needs_.main_programs);
    return std::move(needs_);
  }

 private:
  bool IsOurs(const ElfFile& file) const { return file.machine == needs_.architecture; }

  bool IsLibrary(const std::string& path) const {
    const auto found = files_.find(path);
    return found != files_.end() && IsOurs(*found->second);
  }

  // Below the tree, of a path below the tree; empty where it leads outside or nowhere.
  std::string RealPath(const std::string& path) const {
    const std::unique_ptr<char, void (*)(void*)> real(
        realpath((tree_ + "/" + path).c_str(), nullptr), free);
    if (!real) return {};
    const std::string text = real.get();
    return text.starts_with(tree_ + "/") ? text.substr(tree_.size() + 1) : std::string();
  }

  // A directory of a search path, below the tree; nullopt where it is of the host.
  std::optional<std::string> SearchDirectory(std::string directory, const std::string& file) const {
    const std::string own = ParentOf(file);
    const std::string origin = prefix_ + (own.empty() ? "" : "/" + own);
    for (const std::string variable : {"${ORIGIN}", "$ORIGIN"}) {
      for (size_t at = 0; (at = directory.find(variable, at)) != std::string::npos;) {
        directory.replace(at, variable.size(), origin);
        at += origin.size();
      }
    }
    std::string normal = std::filesystem::path(directory).lexically_normal().string();
    while (normal.size() > 1 && normal.ends_with('/')) normal.pop_back();
    for (const std::string& root : {prefix_, tree_}) {
      if (normal == root) return std::string();
      if (normal.starts_with(root + "/")) return normal.substr(root.size() + 1);
    }
    return std::nullopt;
  }

  void AddProgramPaths(const std::string& path, const ElfFile& file) {
    for (const std::string& directory : file.rpath) {
      const auto place = SearchDirectory(directory, path);
      if (place) program_paths_.insert(*place);
    }
  }

  // Path below the tree of the library that the loader would find there; empty for none.
  const std::string& In(const std::string& directory, const std::string& name) {
    const std::string path = directory.empty() ? name : directory + "/" + name;
    const auto [known, is_new] = found_.emplace(path, std::string());
    if (is_new) {
      const std::string real = RealPath(path);
      if (IsLibrary(real)) known->second = real;
    }
    return known->second;
  }

  // Does a search path of the file lead to the library in the image?
  bool IsSearched(const std::string& path, const ElfFile& file, const std::string& name) {
    if (name.find('/') != std::string::npos) {
      const auto place = SearchDirectory(name, path);
      return place && IsLibrary(RealPath(*place));
    }
    for (const std::string& directory : file.runpath.empty() ? file.rpath : file.runpath) {
      const auto place = SearchDirectory(directory, path);
      if (place && !In(*place, name).empty()) return true;
    }
    return file.runpath.empty() && std::ranges::any_of(program_paths_, [&](const auto& directory) {
             return !In(directory, name).empty();
           });
  }

  void TakeFile(const std::string& path, const ElfFile& file, HostNeedsList& list) {
    if (file.executable) TakeInterpreter(path, file.interpreter, list);
    list.AddLevel(path, file);
    for (const std::string& name : file.needed) {
      if (IsSearched(path, file, name)) {
        in_image_.insert(name);
      } else if (const auto elsewhere = by_name_.find(name); elsewhere != by_name_.end()) {
        if (&list != &all_) continue;  // told once
        Needs::ImageLibrary& library = unsearched_[name];
        library.name = name;
        library.path = elsewhere->second;
        library.needed_by.Add(path);
      } else {
        list.AddLibrary(path, file, name);
      }
    }
  }

  void TakeInterpreter(const std::string& path, const std::string& interpreter,
                       HostNeedsList& list) const {
    const auto place = SearchDirectory(interpreter, path);
    list.AddInterpreter(path, interpreter, place && IsLibrary(RealPath(*place)));
  }

  // What the environment is started by.
  std::vector<std::string> MainPrograms() const {
    std::vector<std::string> programs, pythons;
    for (const auto& [path, file] : files_) {
      if (!file->executable || !IsOurs(*file) || ParentOf(path) != "bin") continue;
      programs.push_back(path);
      if (IsPythonName(NameOf(path))) pythons.push_back(path);
    }
    return pythons.empty() ? programs : pythons;
  }

  HostNeeds RequiredBy(const std::vector<std::string>& programs) {
    HostNeedsList list;
    std::set<std::string> loaded(programs.begin(), programs.end());
    std::vector<std::string> pending = programs;
    while (!pending.empty()) {
      const std::string path = std::move(pending.back());
      pending.pop_back();
      for (const std::string& name : files_.at(path)->needed) {
        // A library that is on no search path may be loaded all the same, by LD_LIBRARY_PATH.
        const auto library = by_name_.find(name);
        if (library != by_name_.end() && loaded.insert(library->second).second) {
          pending.push_back(library->second);
        }
      }
    }
    for (const std::string& path : loaded) TakeFile(path, *files_.at(path), list);
    return list.Take();
  }

  const std::string tree_;
  const std::string prefix_;
  std::map<std::string, const ElfFile*> files_;           // by path below the tree
  std::unordered_map<std::string, std::string> by_name_;  // path by name, wherever it is
  std::unordered_map<std::string, std::string> found_;    // what In() found
  std::set<std::string> program_paths_;                   // below the tree
  HostNeedsList all_;
  std::map<std::string, Needs::ImageLibrary> unsearched_;
  std::set<std::string> in_image_;
  Needs needs_;
};

}  // namespace

Needs FindNeeds(const std::string& tree, const std::string& prefix, unsigned jobs,
                const std::function<void()>& poll) {
  Candidates candidates = Collect(tree, poll);
  ParallelFor(jobs, candidates.files.size(), [&](uint64_t i) {
    poll();
    Read(tree, candidates.files[i]);
  });
  return NeedsSearch(tree, prefix, candidates).Search(poll);
}

}  // namespace firn
