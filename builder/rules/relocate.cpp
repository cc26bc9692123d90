#include "builder/rules/relocate.h"

#include <sys/wait.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <optional>

#include "builder/child_process.h"
#include "builder/python_environment.h"
#include "builder/rules/conda_meta.h"
#include "builder/rules/file_search.h"
#include "builder/rules/path_text.h"
#include "builder/rules/run_paths.h"
#include "builder/temporary_directory.h"
#include "format/error.h"

namespace firn {
namespace {

constexpr char kCondaUnpack[] = "bin/conda-unpack";
constexpr char kCondaUnpackProgress[] = "bin/conda_unpack_progress.py";

// What bin/activate of a venv sets VIRTUAL_ENV to; empty where it says no absolute path.
std::string PlaceOfActivation(const RuleWork& work) {
  constexpr std::string_view kAssignment = "VIRTUAL_ENV=";
  const std::string text = work.Read("bin/activate").value_or("");
  for (size_t at = text.find(kAssignment); at != std::string::npos;
       at = text.find(kAssignment, at + 1)) {
    const size_t start = text.find_first_not_of("'\"", at + kAssignment.size());
    if (start == std::string::npos || text[start] != '/') continue;
    const size_t end = text.find_first_of("'\"\n", start);
    return text.substr(start, end == std::string::npos ? end : end - start);
  }
  return {};
}

void AddPlace(std::vector<std::string>& places, std::string place) {
  while (place.size() > 1 && place.ends_with('/')) place.pop_back();
  if (place.size() < 2 || !place.starts_with('/')) return;
  if (std::find(places.begin(), places.end(), place) == places.end()) {
    places.push_back(std::move(place));
  }
}

class Relocation {
 public:
  Relocation(RuleWork& work, std::vector<std::string> others)
      : work_(work), others_(std::move(others)) {}

  void Run() {
    RunCondaUnpack();
    for (const PrefixedFile& file : ReadPrefixedFiles(work_)) ReplaceDeclared(file);
    ReplaceTexts();
    ReplaceLinks();
  }

 private:
  // An archive of conda-pack names a prefix of its builder; the program in it knows where.
  void RunCondaUnpack() {
    const std::optional<std::string> program = work_.Read(kCondaUnpack);
    if (!program || program->find("_prefix_records") == std::string::npos) return;
    const TemporaryDirectory directory;
    const std::string errors = directory.path() + "/log";
    // Not -I: it imports a module beside it.
    ChildProcess child(
        {.arguments = {work_.At("bin/python"), "-E", "-s", "-B", work_.At(kCondaUnpack)},
         .environment = PythonEnvironment(),
         .directory = directory.path(),
         .error_log = errors});
    const int status =
        child.ReadLines([&](const std::string& line) { work_.Log(line); }, work_.tree().poll);
    std::ifstream printed(errors);
    for (std::string line; std::getline(printed, line);) work_.Log(line);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
      throw Error(ErrorKind::kInput, "expected it to put the environment's files right, it failed",
                  "Unpack the archive, run conda-unpack, and build from the directory.")
          .WithPath(work_.At(kCondaUnpack));
    }
    work_.Remove(kCondaUnpack);
    if (work_.TypeOf(kCondaUnpackProgress)) work_.Remove(kCondaUnpackProgress);
  }

  void ReplaceDeclared(const PrefixedFile& file) {
    const std::optional<std::string> content = work_.Read(file.path);
    if (!content) return;
    std::string made = *content;
    std::vector<std::string> sought = others_;
    sought.push_back(file.placeholder);
    for (const std::string& from : sought) {
      if (!file.binary) {
        if (const auto text = ReplacePath(made, from, work_.prefix())) made = *text;
        continue;
      }
      const auto outcome = ReplaceInBinary(made, from, work_.prefix(), file.placeholder.size());
      if (outcome != BinaryReplacement::kTooLong) continue;
      throw Error(ErrorKind::kInput,
                  "expected a prefix of at most " + std::to_string(file.placeholder.size()) +
                      " bytes, for which this file has room, found " +
                      std::to_string(work_.prefix().size()),
                  "Give a shorter prefix, or build at the prefix that the environment has.")
          .WithPath(work_.At(file.path));
    }
    if (made == *content) return;
    work_.Write(file.path, made);
    ++work_.report.relocated;
  }

  void ReplaceTexts() {
    if (others_.empty()) return;
    for (const FileHit& hit : SearchFiles(work_, others_)) {
      if (work_.changed().contains(hit.file.path)) continue;  // as declared
      const std::optional<std::string> content = work_.Read(hit.file.path);
      if (!content || IsBinary(*content)) continue;
      std::string made = *content;
      for (const std::string& from : others_) {
        if (const auto text = ReplacePath(made, from, work_.prefix())) made = *text;
      }
      if (made == *content) continue;
      work_.Write(hit.file.path, made);
      ++work_.report.relocated;
    }
  }

  // Absolute symlinks into the tree, wherever it was, lead to where they did, from anywhere.
  void ReplaceLinks() {
    std::vector<std::string> places = others_;
    AddPlace(places, work_.tree().path);
    AddPlace(places, work_.prefix());
    std::map<std::string, std::string> links;
    for (const TreeEntry& entry : work_.Entries()) {
      if (entry.type != TreeEntry::Type::kSymlink) continue;
      const std::string target = LinkTarget(work_.At(entry.path));
      for (const std::string& place : places) {
        if (!target.starts_with(place + "/")) continue;
        links[entry.path] =
            RelativePath(ParentOf(entry.path), NormalPath(target.substr(place.size() + 1)));
        break;
      }
    }
    for (const auto& [path, target] : links) {
      work_.Link(path, target);
      ++work_.report.relocated;
    }
  }

  RuleWork& work_;
  const std::vector<std::string> others_;  // not the prefix itself
};

}  // namespace

std::vector<std::string> PlacesOfTree(const RuleWork& work) {
  std::vector<std::string> places;
  AddPlace(places, work.tree().original);
  AddPlace(places, PlaceOfActivation(work));
  AddPlace(places, work.prefix());
  AddPlace(places, work.tree().path);
  return places;
}

void Relocate(RuleWork& work, const std::vector<std::string>& places) {
  std::vector<std::string> others = places;
  std::erase(others, work.prefix());
  Relocation(work, std::move(others)).Run();
  MakeRunPathsRelative(work, places);
}

}  // namespace firn
