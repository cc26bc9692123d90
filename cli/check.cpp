#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "builder/inspect/host.h"
#include "builder/inspect/image_sections.h"
#include "builder/interrupt.h"
#include "builder/recipe_text.h"
#include "cli/commands.h"
#include "cli/image_checks.h"
#include "cli/image_file.h"
#include "cli/output.h"
#include "cli/text.h"
#include "format/error.h"

namespace firn {
namespace {

constexpr char kCheckFooter[] =
    "Compares what the programs and libraries of the image need with this machine: architecture,\n"
    "processor, dynamic loader, libraries and the versions of their symbols. Then runs the checks\n"
    "of the image's recipe in it, as 'firn build' did: without network, with an empty home.\n"
    "What only some of its files need, modules and plugins that nothing may ever load, counts as\n"
    "missing unless the checks pass without it.\n"
    "\n"
    "Exit codes: 0 the image runs here: its checks pass, and its Python (else, its programs) has\n"
    "all that it needs; 7 something is missing; 10 a check failed.\n"
    "\n"
    "Examples:\n"
    "  firn check science.firn\n"
    "  firn check --json science.firn | jq '.missing[].name'";

constexpr uint64_t kMaxRecipeLength = 16 << 20;

struct CheckArguments {
  std::string image;
  bool json = false;
  bool quiet = false;
  bool needs_only = false;
};

// Nothing where the image has none: no recipe that names one, and no Python to import from.
std::optional<ImageChecks> ReadChecks(int fd, const Appendix& appendix) {
  ImageChecks checks;
  if (appendix.core().Find(kRecipeSection) != nullptr) {
    const auto bytes = appendix.ReadSection(fd, kRecipeSection, kMaxRecipeLength);
    const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const Recipe recipe = ParseRecipe(text, appendix.path() + " (section recipe)", "/");
    checks = {.default_checks = recipe.default_checks, .checks = recipe.checks};
  }
  const Manifest manifest = appendix.ReadManifest(fd);
  if (manifest.kind == EnvironmentKind::kOther && !manifest.python) checks.default_checks = false;
  if (!checks.default_checks && checks.checks.empty()) return std::nullopt;
  return checks;
}

struct ChecksResult {
  bool were_run = false;
  std::optional<Error> failure{};  // nothing where every check passes
};

ChecksResult RunChecksOf(const CheckArguments& arguments, const ImageChecks& checks) {
  const InterruptGuard interrupts;
  const bool silent = arguments.json || arguments.quiet;
  try {
    const unsigned run = RunChecks(
        arguments.image, checks,
        [&](std::string_view line) {
          if (!silent) std::cout << Printable(line) << '\n';
        },
        ThrowIfInterrupted);
    return {.were_run = run > 0};
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kCheck) throw;
    return {.were_run = true, .failure = error};
  }
}

nlohmann::ordered_json MissingJson(const std::vector<MissingNeed>& missing) {
  auto json = nlohmann::ordered_json::array();
  for (const MissingNeed& need : missing) {
    json.push_back({{"kind", need.kind},
                    {"name", need.name},
                    {"required", need.is_required},
                    {"message", need.message},
                    {"remedy", need.remedy},
                    {"needed_by", need.needed_by.paths},
                    {"files", need.needed_by.files}});
  }
  return json;
}

void PrintMissing(const MissingNeed& need, const std::string& image, const std::string& who) {
  std::cout << image << ": " << Printable(need.message) << '\n';
  if (!need.remedy.empty()) std::cout << "  " << need.remedy << '\n';
  for (const std::string& path : need.needed_by.paths) {
    std::cout << "  " << who << ' ' << Printable(path) << '\n';
  }
  const uint64_t more = need.needed_by.files - need.needed_by.paths.size();
  if (more > 0) std::cout << "  " << who << ' ' << Grouped(more) << " more files\n";
}

// What there is to say of an image on this machine.
struct CheckFindings {
  uint64_t elf_files = 0;
  std::vector<MissingNeed> missing;
  ChecksResult checks{};

  // Does the image do without it, as its checks show?
  bool IsDispensable(const MissingNeed& need) const {
    return !need.is_required && checks.were_run && !checks.failure;
  }
  bool HasAll() const {
    return std::ranges::all_of(missing, [&](const auto& need) { return IsDispensable(need); });
  }
};

void PrintFindings(const CheckFindings& findings, const CheckArguments& arguments) {
  for (const MissingNeed& need : findings.missing) {
    if (!findings.IsDispensable(need)) {
      PrintMissing(need, arguments.image, "needed by");
      if (!need.is_required && !findings.checks.were_run) {
        std::cout << "  no check was run that might show that the image does without\n";
      }
    } else if (!arguments.quiet) {
      PrintMissing(need, arguments.image, "the checks pass without; needed only by");
    }
  }
  if (!findings.HasAll() || arguments.quiet) return;
  std::cout << arguments.image << ": this machine has what its " << Grouped(findings.elf_files)
            << " programs and libraries need"
            << (findings.missing.empty() ? "" : ", but for what its checks do without") << '\n';
}

void RunCheck(const CheckArguments& arguments, int& exit_code) {
  const FileDescriptor fd = OpenImageFile(arguments.image);
  const Appendix appendix = Appendix::ReadImage(fd.get(), arguments.image);
  const Needs needs = ReadNeeds(fd.get(), appendix);
  CheckFindings findings{.elf_files = needs.files, .missing = FindMissing(needs, ThisHost())};
  std::optional<ImageChecks> checks;
  if (!arguments.needs_only) checks = ReadChecks(fd.get(), appendix);
  if (checks) findings.checks = RunChecksOf(arguments, *checks);
  const std::optional<Error>& failure = findings.checks.failure;
  if (arguments.json) {
    nlohmann::ordered_json json = {{"image", arguments.image},
                                   {"id", FormatImageId(appendix.id())},
                                   {"ok", findings.HasAll() && !failure},
                                   {"elf_files", needs.files},
                                   {"missing", MissingJson(findings.missing)}};
    if (checks) json["checks"] = {{"ok", !failure}};
    if (failure) json["checks"]["message"] = failure->message();
    PrintJson(json);
  } else {
    PrintFindings(findings, arguments);
  }
  if (!findings.HasAll()) exit_code = static_cast<int>(ErrorKind::kSystem);
  if (failure && arguments.json && exit_code == 0) exit_code = failure->exit_code();
  if (failure && !arguments.json) throw *failure;
}

}  // namespace

void AddCheckCommand(CLI::App& app, int& exit_code) {
  const auto arguments = std::make_shared<CheckArguments>();
  CLI::App* check = app.add_subcommand("check", "Does this machine have what an image needs?");
  check->footer(kCheckFooter);
  check->add_option("IMAGE", arguments->image, "The image file")->required();
  check->add_flag("--needs-only", arguments->needs_only, "Run nothing of the image");
  check->add_flag("--json", arguments->json, "Print the findings as JSON");
  check->add_flag("-q,--quiet", arguments->quiet, "Print only what keeps the image from running");
  check->callback([arguments, &exit_code] { RunCheck(*arguments, exit_code); });
}

}  // namespace firn
