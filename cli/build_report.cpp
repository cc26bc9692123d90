#include "cli/build_report.h"

#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/output.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "format/digest.h"

namespace firn {
namespace {

double Ratio(const BuildSummary& summary) {
  return static_cast<double>(summary.image.manifest.contents.bytes) /
         static_cast<double>(summary.image.file_length);
}

// "LABEL3 files that …, a, b and others".
void PrintNames(const char* label, const std::vector<std::string>& names, const char* what) {
  if (names.empty()) return;
  constexpr size_t kShown = 3;
  std::cout << "  " << label << names.size() << what << ": ";
  for (size_t i = 0; i < names.size() && i < kShown; ++i) {
    std::cout << (i > 0 ? ", " : "") << Printable(names[i]);
  }
  std::cout << (names.size() > kShown ? " and others" : "") << '\n';
}

void PrintRules(const RulesReport& rules) {
  if (rules.scripts + rules.relocated + rules.excluded > 0) {
    std::cout << "  rules:       " << rules.scripts << " scripts made independent of the prefix, "
              << rules.relocated << " files relocated, " << rules.excluded << " left out\n";
  }
  if (rules.stripped_bytes > 0) {
    std::cout << "  stripped:    " << FormatBytes(rules.stripped_bytes) << " of symbols\n";
  }
  PrintNames("bound:       ", rules.bound, " files that only work at the prefix");
  PrintNames("leftovers:   ", rules.leftovers, " files that name a path of the build");
}

}  // namespace

void PrintBuildJson(const EnvironmentSummary& environment, bool with_profile) {
  const BuildSummary& summary = environment.image;
  const Manifest& manifest = summary.image.manifest;
  nlohmann::ordered_json json = {
      {"image", summary.output},
      {"id", FormatImageId(summary.image.id)},
      {"name", manifest.name},
      {"prefix", manifest.prefix},
      {"files", manifest.contents.files},
      {"directories", manifest.contents.directories},
      {"symlinks", manifest.contents.symlinks},
      {"hard_links", manifest.contents.hard_links},
      {"duplicate_files", summary.image.duplicate_files},
      {"skipped_special", summary.skipped_special},
      {"bytes_in", manifest.contents.bytes},
      {"bytes_out", summary.image.file_length},
      {"squashfs_bytes", summary.image.squashfs_length},
      {"ratio", Ratio(summary)},
      {"seconds", summary.seconds},
  };
  if (with_profile) {
    json["profile_files"] = summary.profile_files;
    json["profile_paths_missing"] = summary.profile_paths_missing;
  }
  if (manifest.python) {
    json["python"] = {{"version", manifest.python->version},
                      {"compiled", manifest.python->compiled},
                      {"not_compiled", manifest.python->not_compiled}};
  }
  if (!environment.log.empty()) json["log"] = environment.log;
  json["excluded"] = environment.rules.excluded;
  json["scripts"] = environment.rules.scripts;
  json["relocated"] = environment.rules.relocated;
  json["stripped_bytes"] = environment.rules.stripped_bytes;
  json["bound"] = environment.rules.bound;
  json["leftovers"] = environment.rules.leftovers;
  json["not_reproducible"] = environment.source.not_reproducible;
  // Names of files may hold any byte.
  PrintJson(json);
}

void PrintBuild(const EnvironmentSummary& environment, bool with_profile) {
  const BuildSummary& summary = environment.image;
  const Manifest& manifest = summary.image.manifest;
  const Manifest::Contents& contents = manifest.contents;
  std::cout << summary.output << ": " << contents.files << " files, " << contents.directories
            << " directories, " << contents.symlinks << " symlinks\n";
  if (contents.hard_links + summary.image.duplicate_files > 0) {
    std::cout << "  stored once: " << contents.hard_links << " hard links, "
              << summary.image.duplicate_files << " files of equal content\n";
  }
  if (summary.skipped_special > 0) {
    std::cout << "  left out:    " << summary.skipped_special
              << " device nodes, sockets and fifos\n";
  }
  if (manifest.python) {
    std::cout << "  python:      " << manifest.python->version << ", " << manifest.python->compiled
              << " modules compiled\n";
    const auto& failed = manifest.python->not_compiled;
    if (!failed.empty()) {
      std::cout << "  no module:   " << failed.size()
                << " .py files that this Python cannot compile, " << failed.front()
                << (failed.size() > 1 ? " and others (firn inspect lists them)" : "") << '\n';
    }
  }
  PrintRules(environment.rules);
  PrintNames("built here:  ", environment.source.not_reproducible,
             " from sources, which may differ in the next build");
  if (with_profile) {
    std::cout << "  profile:     " << summary.profile_files << " files in front, "
              << summary.profile_paths_missing << " of its paths are not in the tree\n";
  }
  char numbers[64];
  std::snprintf(numbers, sizeof numbers, " (1 : %.2f) in %.1f s", Ratio(summary), summary.seconds);
  std::cout << "  size:        " << FormatBytes(contents.bytes) << " to "
            << FormatBytes(summary.image.file_length) << numbers << '\n'
            << "  prefix:      " << manifest.prefix << '\n'
            << "  id:          " << FormatImageId(summary.image.id) << '\n';
  if (!environment.log.empty()) std::cout << "  log:         " << environment.log << '\n';
}

}  // namespace firn
