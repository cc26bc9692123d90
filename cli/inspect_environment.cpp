#include "cli/inspect_environment.h"

#include <algorithm>
#include <array>
#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "builder/inspect/image_sections.h"
#include "cli/output.h"
#include "cli/text.h"
#include "format/error.h"
#include "format/layout.h"

namespace firn {
namespace {

std::string JoinedVersions(const Needs::HostLibrary& library) {
  std::string text;
  for (const auto& [kind, version] : library.versions) {
    if (version.version.empty()) continue;
    text += (text.empty() ? "" : ", ") + kind + "_" + version.version;
  }
  return text;
}

std::string NeededByText(const NeededBy& needed_by) {
  if (needed_by.paths.empty()) return Grouped(needed_by.files) + " files";
  std::string text = Printable(needed_by.paths.front());
  if (needed_by.files > 1) text += " and " + Grouped(needed_by.files - 1) + " more";
  return text;
}

void PrintTable(const std::vector<std::vector<std::string>>& rows) {
  // What is wider stands out: one text of an image must not make every row as long.
  constexpr size_t kWidest = 120;
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], std::min(row[i].size(), kWidest));
    }
  }
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i] + std::string(std::max(widths[i], row[i].size()) - row[i].size() + 2, ' ');
    }
    line.resize(line.find_last_not_of(' ') + 1);
    std::cout << line << '\n';
  }
}

void PrintNeedsText(const Needs& needs) {
  PrintField("architecture", (needs.architecture.empty() ? "any" : needs.architecture) + ", " +
                                 Grouped(needs.files) + " ELF files");
  for (const auto& [name, files] : needs.other_architectures) {
    PrintField("", Grouped(files) + " more of " + Printable(name));
  }
  if (needs.x86_64_level > 0) {
    PrintField("processor", "x86-64-v" + std::to_string(needs.x86_64_level) + ", for " +
                                Printable(needs.x86_64_level_needed_by));
  }
  for (const std::string kind : {"GLIBC", "GLIBCXX", "CXXABI"}) {
    const Needs::Version highest = needs.Highest(kind);
    if (highest.version.empty()) continue;
    PrintField(kind, Printable(highest.version) + ", for " + Printable(highest.needed_by));
  }
  for (const Needs::Interpreter& interpreter : needs.interpreters) {
    PrintField("loader", Printable(interpreter.path) +
                             (interpreter.in_image ? " (in the image)" : std::string()));
  }
  std::string programs;
  for (const std::string& path : needs.main_programs) {
    programs += (programs.empty() ? "" : ", ") + Printable(path);
  }
  if (!programs.empty()) PrintField("programs", programs);
  if (needs.damaged.files > 0) {
    PrintField("damaged",
               Grouped(needs.damaged.files) + " ELF files: " + NeededByText(needs.damaged));
  }
  std::vector<std::vector<std::string>> rows;
  for (const Needs::HostLibrary& library : needs.host_libraries) {
    const bool is_required =
        std::ranges::any_of(needs.required.host_libraries,
                            [&](const auto& other) { return other.name == library.name; });
    rows.push_back({(is_required ? "* " : "  ") + Printable(library.name),
                    Printable(JoinedVersions(library)), NeededByText(library.needed_by)});
  }
  if (!rows.empty())
    std::cout << "libraries of the host (*: of the main programs), versions, needed by:\n";
  PrintTable(rows);
  rows.clear();
  for (const Needs::ImageLibrary& library : needs.unsearched) {
    rows.push_back(
        {"  " + Printable(library.name), Printable(library.path), NeededByText(library.needed_by)});
  }
  if (!rows.empty()) std::cout << "in the image, but on no search path of who needs them:\n";
  PrintTable(rows);
}

nlohmann::ordered_json LockJson(const StoredLock& lock) {
  return {{"name", lock.name}, {"bytes", lock.content.size()}, {"content", lock.content}};
}

Error NoSuchLock(const std::vector<StoredLock>& locks, const std::string& name,
                 const std::string& path) {
  std::string names;
  for (const StoredLock& lock : locks) {
    names += (names.empty() ? "" : ", ") + Printable(lock.name);
  }
  return Error(ErrorKind::kUsage, "the image has no lock file '" + name + "'",
               "It has these: " + names + ".")
      .WithPath(path);
}

}  // namespace

void PrintPackages(int fd, const Appendix& appendix, bool json) {
  const PackageList list = ReadPackages(fd, appendix);
  if (json) {
    std::cout << list.ToJson();
    return;
  }
  std::vector<std::vector<std::string>> rows{{"NAME", "VERSION", "KIND", "BUILD", "LICENSE"}};
  for (const Package& package : list.packages) {
    rows.push_back({Printable(package.name), Printable(package.version),
                    std::string(PackageKindName(package.kind)), Printable(package.build),
                    Printable(package.license)});
  }
  PrintTable(rows);
  for (const std::string& path : list.unreadable) {
    std::cerr << "firn: warning: " << Printable(path) << " says nothing of its package\n";
  }
}

void PrintNeeds(int fd, const Appendix& appendix, bool json) {
  const Needs needs = ReadNeeds(fd, appendix);
  if (json) {
    std::cout << needs.ToJson();
  } else {
    PrintNeedsText(needs);
  }
}

void PrintSbom(int fd, const Appendix& appendix) {
  std::cout << ReadTextSection(fd, appendix, kSbomSection);
}

void PrintRecipe(int fd, const Appendix& appendix, bool json) {
  const std::string recipe = ReadTextSection(fd, appendix, kRecipeSection);
  if (json) {
    PrintJson({{"recipe", recipe}});
  } else {
    std::cout << recipe;
  }
}

void PrintLocks(int fd, const Appendix& appendix, const std::string& name, bool json) {
  ReadTextSection(fd, appendix, kLocksSection);  // or say that there is none
  std::vector<StoredLock> locks = ReadLocks(fd, appendix);
  if (!name.empty()) {
    const auto found = std::ranges::find(locks, name, &StoredLock::name);
    if (found == locks.end()) throw NoSuchLock(locks, name, appendix.path());
    locks = {*found};
  }
  if (json) {
    nlohmann::ordered_json all = {{"locks", nlohmann::ordered_json::array()}};
    for (const StoredLock& lock : locks) all["locks"].push_back(LockJson(lock));
    PrintJson(all);
  } else if (locks.size() == 1) {
    std::cout << locks.front().content;
  } else {
    std::vector<std::vector<std::string>> rows;
    for (const StoredLock& lock : locks) {
      rows.push_back({Printable(lock.name), Grouped(lock.content.size()) + " bytes"});
    }
    PrintTable(rows);
  }
}

}  // namespace firn
