#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "builder/image_diff.h"
#include "builder/inspect/image_sections.h"
#include "builder/interrupt.h"
#include "cli/commands.h"
#include "cli/image_file.h"
#include "cli/image_layers.h"
#include "cli/output.h"
#include "cli/text.h"
#include "format/appendix.h"
#include "format/error.h"

namespace firn {
namespace {

constexpr char kDiffFooter[] =
    "Packages first, then files by what their digests say: '-' only in A, '+' only in B, '~' in\n"
    "both and not the same. Contents are not read, but for --foreign ones. Times are left out.\n"
    "A layer counts for what it shows over its base, which is looked for as 'firn run' does.\n"
    "\n"
    "Exit codes: 0 no difference; 1 there are differences; 2 and above: trouble, as elsewhere.\n"
    "\n"
    "Examples:\n"
    "  firn diff science-1.firn science-2.firn\n"
    "  firn diff --packages --json old.firn new.firn | jq '.packages.changed[].name'";

constexpr int kImagesDiffer = 1;
constexpr int kTrouble = 2;

struct DiffArguments {
  std::string before;
  std::string after;
  bool packages = false;
  bool files = false;
  bool foreign = false;
  bool json = false;
};

const char* TypeName(FileType type) {
  switch (type) {
    case FileType::kDirectory:
      return "directory";
    case FileType::kRegular:
      return "file";
    case FileType::kSymlink:
      return "symlink";
    case FileType::kBlockDevice:
      return "block device";
    case FileType::kCharacterDevice:
      return "character device";
    case FileType::kFifo:
      return "fifo";
    case FileType::kSocket:
      return "socket";
  }
  return "";
}

// nullopt, and why, where there is no list of packages.
std::optional<PackageList> PackagesOf(const std::string& path, std::string& why) {
  const FileDescriptor fd = OpenImageFile(path);
  const std::optional<Appendix> appendix = Appendix::Read(fd.get(), path);
  if (appendix && appendix->core().Find(kPackagesSection) != nullptr) {
    return ReadPackages(fd.get(), *appendix);
  }
  why = path + " has no list of packages; compared by files only";
  return std::nullopt;
}

std::string VersionText(const Package& package) {
  return package.build.empty() ? package.version : package.version + " " + package.build;
}

nlohmann::ordered_json PackagesJson(const std::vector<PackageChange>& changes) {
  nlohmann::ordered_json json;
  for (const char* key : {"added", "removed", "changed"}) {
    json[key] = nlohmann::ordered_json::array();
  }
  for (const PackageChange& change : changes) {
    const Package& named = change.after ? *change.after : *change.before;
    nlohmann::ordered_json entry = {{"kind", PackageKindName(named.kind)}, {"name", named.name}};
    if (change.before && change.after) {
      entry["before"] = change.before->version;
      entry["after"] = change.after->version;
      if (!named.build.empty()) {
        entry["build_before"] = change.before->build;
        entry["build_after"] = change.after->build;
      }
      json["changed"].push_back(std::move(entry));
    } else {
      entry["version"] = named.version;
      json[change.after ? "added" : "removed"].push_back(std::move(entry));
    }
  }
  return json;
}

nlohmann::ordered_json FilesJson(const std::vector<FileChange>& changes) {
  nlohmann::ordered_json json;
  for (const char* key : {"added", "removed", "changed"}) {
    json[key] = nlohmann::ordered_json::array();
  }
  for (const FileChange& change : changes) {
    nlohmann::ordered_json entry = {{"path", change.path}, {"type", TypeName(change.type)}};
    if (change.kind == FileChangeKind::kChanged) {
      entry["what"] = change.what;
      json["changed"].push_back(std::move(entry));
    } else {
      if (change.type == FileType::kDirectory) entry["entries"] = change.entries;
      json[change.kind == FileChangeKind::kAdded ? "added" : "removed"].push_back(std::move(entry));
    }
  }
  return json;
}

void PrintPackageChanges(const std::vector<PackageChange>& changes) {
  if (!changes.empty()) std::cout << "packages:\n";
  for (const PackageChange& change : changes) {
    const Package& named = change.after ? *change.after : *change.before;
    std::string text = VersionText(named);
    if (change.before && change.after) {
      text = VersionText(*change.before) + " -> " + VersionText(*change.after);
      if (VersionText(*change.before) == VersionText(*change.after)) text += " (other contents)";
    }
    std::cout << "  "
              << (!change.before  ? '+'
                  : !change.after ? '-'
                                  : '~')
              << ' ' << Printable(named.name) << ' ' << Printable(text) << " ("
              << PackageKindName(named.kind) << ")\n";
  }
}

void PrintFileChanges(const std::vector<FileChange>& changes) {
  if (!changes.empty()) std::cout << "files:\n";
  for (const FileChange& change : changes) {
    const char mark = change.kind == FileChangeKind::kAdded     ? '+'
                      : change.kind == FileChangeKind::kRemoved ? '-'
                                                                : '~';
    std::cout << "  " << mark << ' ' << (change.path.empty() ? "." : Printable(change.path));
    if (change.kind != FileChangeKind::kChanged && change.type == FileType::kDirectory) {
      std::cout << "/ (" << Grouped(change.entries) << " below it)";
    }
    std::string what;
    for (const std::string& word : change.what) what += (what.empty() ? "" : ", ") + word;
    if (!what.empty()) std::cout << " (" << what << ')';
    std::cout << '\n';
  }
}

// Returns whether there are differences.
bool Compare(const DiffArguments& arguments) {
  const InterruptGuard interrupts;
  const bool all = !arguments.packages && !arguments.files;
  nlohmann::ordered_json json = {{"before", arguments.before}, {"after", arguments.after}};
  bool differ = false;
  if (all || arguments.packages) {
    std::string why;
    const auto before = PackagesOf(arguments.before, why), after = PackagesOf(arguments.after, why);
    if (before && after) {
      const std::vector<PackageChange> changes = DiffPackages(*before, *after);
      differ = differ || !changes.empty();
      json["packages"] = PackagesJson(changes);
      if (!arguments.json) PrintPackageChanges(changes);
    } else if (arguments.packages && !arguments.files) {
      throw Error(ErrorKind::kUsage, why.substr(0, why.find(';')),
                  "Compare their files with --files.");
    } else {
      std::cerr << "firn: warning: " << Printable(why) << '\n';
    }
  }
  if (all || arguments.files) {
    const MergedImages before(LayersOf(arguments.before), arguments.foreign);
    const MergedImages after(LayersOf(arguments.after), arguments.foreign);
    const std::vector<FileChange> changes = DiffFiles(before, after, ThrowIfInterrupted);
    differ = differ || !changes.empty();
    json["files"] = FilesJson(changes);
    if (!arguments.json) PrintFileChanges(changes);
  }
  json["equal"] = !differ;
  if (arguments.json) PrintJson(json);
  return differ;
}

void RunDiff(const DiffArguments& arguments, int& exit_code) {
  try {
    if (Compare(arguments)) exit_code = kImagesDiffer;
  } catch (const std::exception& error) {
    // Trouble must not look like a difference: an internal error ends with 1 elsewhere.
    const auto* known = dynamic_cast<const Error*>(&error);
    if (known == nullptr || known->exit_code() == kImagesDiffer) exit_code = kTrouble;
    throw;
  }
}

}  // namespace

void AddDiffCommand(CLI::App& app, int& exit_code) {
  const auto arguments = std::make_shared<DiffArguments>();
  CLI::App* diff = app.add_subcommand("diff", "Compare two images");
  diff->footer(kDiffFooter);
  diff->add_option("A", arguments->before, "The image to compare from")->required();
  diff->add_option("B", arguments->after, "The image to compare with")->required();
  diff->add_flag("--packages", arguments->packages, "Compare packages");
  diff->add_flag("--files", arguments->files, "Compare files");
  diff->add_flag("--foreign", arguments->foreign, "Take other SquashFS files too");
  diff->add_flag("--json", arguments->json, "Print as JSON");
  diff->callback([arguments, &exit_code] { RunDiff(*arguments, exit_code); });
}

}  // namespace firn
