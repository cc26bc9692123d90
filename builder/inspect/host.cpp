#include "builder/inspect/host.h"

#include <fcntl.h>
#include <gnu/libc-version.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string_view>
#include <utility>

#include "builder/child_process.h"
#include "builder/inspect/elf_file.h"
#include "format/error.h"
#include "format/file.h"

namespace firn {
namespace {

int X86Level() {
#if defined(__x86_64__)
  // What tells the levels apart on processors that exist; the levels' own names are GCC's alone.
  const bool v2 = __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.2") &&
                  __builtin_cpu_supports("popcnt");
  const bool v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                  __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  return v4 ? 4 : v3 ? 3 : v2 ? 2 : 1;
#else
  return 0;
#endif
}

// Where libraries lie, by name, in the order in which the loader asks.
class HostLibraries {
 public:
  HostLibraries() {
    const char* path = getenv("LD_LIBRARY_PATH");
    for (std::string_view rest = path == nullptr ? "" : path; !rest.empty();) {
      const size_t end = std::min(rest.find(':'), rest.size());
      if (end > 0) first_.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    ReadCache();
  }

  std::optional<Host::Library> Find(const std::string& name) const {
    std::vector<std::string> paths;
    if (name.find('/') != std::string::npos) {
      paths.push_back(name);
    } else {
      for (const std::string& directory : first_) paths.push_back(directory + "/" + name);
      const auto [from, to] = cache_.equal_range(name);
      for (auto entry = from; entry != to; ++entry) paths.push_back(entry->second);
      for (const std::string directory : {"/lib64/", "/usr/lib64/", "/lib/", "/usr/lib/"}) {
        paths.push_back(directory + name);
      }
    }
    for (const std::string& path : paths) {
      auto library = ReadLibrary(path);
      if (library) return library;
    }
    return std::nullopt;
  }

 private:
  // What ldconfig prints: "\tlibz.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libz.so.1".
  void ReadCache() {
    for (const char* program : {"/sbin/ldconfig", "/usr/sbin/ldconfig", "/usr/bin/ldconfig"}) {
      if (access(program, X_OK) != 0) continue;
      ChildProcess ldconfig({.arguments = {program, "-p"},
                             .environment = {"LC_ALL=C"},
                             .directory = "/",
                             .error_log = "/dev/null"});
      ldconfig.ReadLines(
          [&](const std::string& line) {
            const size_t name = line.find_first_not_of(" \t");
            const size_t name_end = line.find(" (", std::min(name, line.size()));
            const size_t arrow = line.find(" => /");
            if (name_end == std::string::npos || arrow == std::string::npos) return;
            cache_.emplace(line.substr(name, name_end - name), line.substr(arrow + 4));
          },
          [] {});
      return;
    }
  }

  // nullopt for what is no library of this machine: the loader passes over it too.
  std::optional<Host::Library> ReadLibrary(const std::string& path) const {
    const FileDescriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!fd.valid()) return std::nullopt;
    try {
      std::optional<ElfFile> file = ReadElf(fd.get());
      if (!file || file->machine != machine_) return std::nullopt;
      return Host::Library{path, std::move(file->versions_defined)};
    } catch (const Error&) {
      return std::nullopt;
    }
  }

  const std::string machine_ = HostMachine();
  std::vector<std::string> first_;
  std::multimap<std::string, std::string> cache_;
};

// What to do where a library is missing that a machine has for a reason.
std::string LibraryRemedy(const std::string& name) {
  if (name.starts_with("libcuda.so") || name.starts_with("libnvidia-") ||
      name.starts_with("libnvcuvid.so")) {
    return "It comes with the driver of an NVIDIA GPU: run on a machine that has one.";
  }
  if (name.starts_with("libc.musl-")) {
    return "The file was built for musl, not glibc: install a wheel or package made for glibc.";
  }
  if (name.starts_with("libstdc++.so") || name.starts_with("libgcc_s.so")) {
    return "Install GCC's runtime library on the machine, or bring it in the environment.";
  }
  return "Install it on the machine, or bring it in the environment.";
}

NeededBy One(const std::string& path) {
  NeededBy needed_by;
  if (!path.empty()) needed_by.Add(path);
  return needed_by;
}

void CheckVersions(const HostNeeds::HostLibrary& library, const Host::Library& found,
                   const Host& host, std::vector<MissingNeed>& missing) {
  for (const auto& [kind, version] : library.versions) {
    const std::string name = version.version.empty() ? kind : kind + "_" + version.version;
    const bool by_number = kind == "GLIBC" && !version.version.empty() && !host.glibc.empty();
    const bool has = by_number ? !VersionLess(host.glibc, version.version)
                               : std::ranges::find(found.versions, name) != found.versions.end();
    if (has) continue;
    std::string highest = by_number ? host.glibc : std::string();
    for (const std::string& defined : found.versions) {
      const auto [other, number] = SplitSymbolVersion(defined);
      if (!by_number && other == kind && VersionLess(highest, number)) highest = number;
    }
    missing.push_back(
        {.kind = "version",
         .name = name,
         .message = "expected " + name + " in " + library.name + ", found " +
                    (highest.empty() ? "no " + kind : "at most " + kind + "_" + highest) + " in " +
                    found.path,
         .remedy = "Run on a machine with a newer system, or build the environment on one as old "
                   "as this.",
         .needed_by = One(version.needed_by)});
  }
}

void CheckProcessor(const HostNeeds& needs, const Host& host, std::vector<MissingNeed>& missing) {
  if (needs.x86_64_level <= host.x86_64_level || host.x86_64_level == 0) return;
  missing.push_back({.kind = "cpu",
                     .name = "x86-64-v" + std::to_string(needs.x86_64_level),
                     .message = "expected a processor of level x86-64-v" +
                                std::to_string(needs.x86_64_level) + ", found x86-64-v" +
                                std::to_string(host.x86_64_level),
                     .remedy = "Run on a newer processor.",
                     .needed_by = One(needs.x86_64_level_needed_by)});
}

std::vector<MissingNeed> MissingOf(const HostNeeds& needs, const Host& host) {
  std::vector<MissingNeed> missing;
  CheckProcessor(needs, host, missing);
  for (const HostNeeds::Interpreter& interpreter : needs.interpreters) {
    if (interpreter.in_image || host.can_execute(interpreter.path)) continue;
    missing.push_back(
        {.kind = "interpreter",
         .name = interpreter.path,
         .message = "expected the dynamic loader " + interpreter.path + ", found none there",
         .remedy = "Run on a machine with the C library that the programs were "
                   "built for.",
         .needed_by = interpreter.needed_by});
  }
  for (const HostNeeds::HostLibrary& library : needs.host_libraries) {
    const std::optional<Host::Library> found = host.find_library(library.name);
    if (found) {
      CheckVersions(library, *found, host, missing);
    } else {
      missing.push_back({.kind = "library",
                         .name = library.name,
                         .message = "expected the library " + library.name + ", found none",
                         .remedy = LibraryRemedy(library.name),
                         .needed_by = library.needed_by});
    }
  }
  return missing;
}

}  // namespace

Host ThisHost() {
  const auto libraries = std::make_shared<const HostLibraries>();
  return {.architecture = HostMachine(),
          .glibc = gnu_get_libc_version(),
          .x86_64_level = X86Level(),
          .find_library = [libraries](const std::string& name) { return libraries->Find(name); },
          .can_execute = [](const std::string& path) { return access(path.c_str(), X_OK) == 0; }};
}

std::vector<MissingNeed> FindMissing(const Needs& needs, const Host& host) {
  if (!needs.architecture.empty() && needs.architecture != host.architecture) {
    return {
        {.kind = "architecture",
         .name = needs.architecture,
         .message = "expected a machine of " + needs.architecture + ", found " + host.architecture,
         .remedy = "Run on such a machine, or build the environment for this one.",
         .needed_by = {.paths = {}, .files = needs.files},
         .is_required = true}};  // nothing else that it needs could be here
  }
  std::vector<MissingNeed> missing = MissingOf(needs.required, host);
  for (MissingNeed& need : missing) need.is_required = true;
  const size_t required = missing.size();
  for (MissingNeed& need : MissingOf(needs, host)) {
    const bool is_known =
        std::any_of(missing.begin(), missing.begin() + static_cast<ptrdiff_t>(required),
                    [&](const MissingNeed& other) {
                      return other.kind == need.kind && other.name == need.name;
                    });
    if (!is_known) missing.push_back(std::move(need));
  }
  return missing;
}

}  // namespace firn
