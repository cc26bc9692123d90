#include "builder/rules/strip.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "builder/child_process.h"
#include "builder/rules/elf_dynamic.h"
#include "builder/temporary_directory.h"
#include "format/error.h"
#include "format/parallel.h"

namespace firn {
namespace {

constexpr char kStrip[] = "/usr/bin/strip";

enum class Outcome { kNothingToDo, kSmaller, kNotPossible };

Outcome StripTo(const std::string& source, const std::string& target, const std::string& directory,
                const std::string& log) {
  // What it says of a file that it cannot work on differs from version to version.
  ChildProcess child({.arguments = {kStrip, "--strip-unneeded", "-o", target, source},
                      .environment = {"LC_ALL=C"},
                      .directory = directory,
                      .error_log = log});
  const int status = child.ReadLines([](const std::string&) {}, [] {});
  struct stat before, after;
  const bool done = WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
                    stat(target.c_str(), &after) == 0 && stat(source.c_str(), &before) == 0;
  if (!done || !HasSoundSegments(target)) return Outcome::kNotPossible;
  return after.st_size < before.st_size ? Outcome::kSmaller : Outcome::kNothingToDo;
}

}  // namespace

void StripSymbols(RuleWork& work) {
  std::error_code ignored;
  if (!std::filesystem::exists(kStrip, ignored)) {
    throw Error(ErrorKind::kSystem, "strip is not installed",
                "Install binutils, or build without strip.")
        .WithPath(kStrip);
  }
  const std::vector<TreeEntry> files = work.Files([&](const TreeEntry& file) {
    const bool may_be = file.executable || file.path.find(".so") != std::string::npos;
    return may_be && file.size > 64 && IsElf(work.At(file.path));
  });
  const TemporaryDirectory directory;
  // A few at a time: each takes room until it is in the tree.
  const size_t batch = std::max(1u, work.tree().jobs) * size_t{4};
  for (size_t first = 0; first < files.size(); first += batch) {
    work.tree().poll();
    const size_t count = std::min(batch, files.size() - first);
    std::vector<Outcome> outcomes(count);
    ParallelFor(work.tree().jobs, count, [&](uint64_t i) {
      const std::string target = directory.path() + "/" + std::to_string(i);
      outcomes[i] =
          StripTo(work.At(files[first + i].path), target, directory.path(), target + ".log");
    });
    for (size_t i = 0; i < count; ++i) {
      const TreeEntry& file = files[first + i];
      const std::string made = directory.path() + "/" + std::to_string(i);
      if (outcomes[i] == Outcome::kNotPossible) {
        work.Log("note: not stripped, as it is damaged or laid out strangely: " + file.path);
      } else if (outcomes[i] == Outcome::kSmaller) {
        work.report.stripped_bytes += file.size - std::filesystem::file_size(made);
        work.CopyFrom(made, file.path);
      }
      std::filesystem::remove(made, ignored);
    }
  }
}

}  // namespace firn
